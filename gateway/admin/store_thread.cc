#include "admin/store_thread.h"

#include "base/background.h"

namespace sluice::admin {

StoreThread::~StoreThread() {
  end();
  if (thread_.joinable()) thread_.join();
}

void StoreThread::end() {
  std::deque<Job> waiting;
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
    waiting.swap(jobs_);
  }
  store_->end_reads();
  changed_.notify_one();
  for (const Job& job : waiting) job(nullptr);
}

void StoreThread::add(Job job) {
  if (ends_) return job(nullptr);
  if (!thread_.joinable()) thread_ = std::thread([this] { work_off(); });
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_one();
}

void StoreThread::work_off() {
  name_thread("store");
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ends_ || !jobs_.empty(); });
    if (ends_) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(store_.get());
  }
}

}  // namespace sluice::admin
