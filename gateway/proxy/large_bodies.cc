#include "proxy/large_bodies.h"

#include "base/background.h"

namespace sluice::proxy {

struct LargeBodies::Job {
  net::Loop& loop;
  const dialect::Dialect& dialect;
  const dialect::Endpoint& endpoint;
  std::string_view body;
  net::Signal done{loop};
  std::optional<Result<dialect::CallBody>> result{};
  bool over = false;  // the worker's: it has heard of the result
};

LargeBodies::~LargeBodies() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

// Without a deadline: the thread is in the body until it has read it, and a read ends by itself.
Task<Result<dialect::CallBody>> LargeBodies::read(net::Loop& loop, const dialect::Dialect& dialect,
                                                  const dialect::Endpoint& endpoint, std::string_view body) {
  Job job{loop, dialect, endpoint, body};
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(&job);
  }
  changed_.notify_one();
  while (!job.over) (void)co_await job.done.wait();
  co_return *std::move(job.result);
}

void LargeBodies::work_off() {
  name_thread("bodies");
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ends_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job& job = *jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    job.result = job.dialect.read_call(job.endpoint, job.body, parser_);
    job.loop.post([&job] {
      job.over = true;
      job.done.notify();
    });
  }
}

}  // namespace sluice::proxy
