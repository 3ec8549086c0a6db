#include "admin/store_thread.h"

#include "base/background.h"

namespace sluice::admin {

StoreThread::~StoreThread() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void StoreThread::add(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { work_off(); });
  changed_.notify_one();
}

// A store that is not connected says so to whoever asks it.
void StoreThread::work_off() {
  name_thread("store");
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ends_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    (void)store_->connect();
    job(*store_);
  }
}

}  // namespace sluice::admin
