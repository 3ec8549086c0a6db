#include "proxy/large_bodies.h"

#include "base/background.h"

namespace sluice::proxy {

LargeBodies::~LargeBodies() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void LargeBodies::add(Job& job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(&job);
  }
  changed_.notify_one();
}

bool LargeBodies::withdraw(Job& job) noexcept {
  const std::lock_guard lock(mutex_);
  return std::erase(jobs_, &job) != 0;
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
    job.work(parser_);
    job.wake_.loop().post([&job] {
      job.over_ = true;
      job.wake_.notify();
    });
  }
}

void ReadJob::work(wire::Parser& parser) noexcept { result_ = dialect_.read(endpoint_, content_type_, body_, parser); }

void DecodeJob::work(wire::Parser&) noexcept {
  for (;;) {
    const Result<wire::BodyDecoder::Step> step = decoder_.decode(out_);
    if (!step) result_ = step.error();
    if (!step || *step == wire::BodyDecoder::Step::kDone) return;
    give_way();
  }
}

}  // namespace sluice::proxy
