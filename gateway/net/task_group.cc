#include "net/task_group.h"

#include <cstdlib>
#include <utility>

namespace sluice::net {

TaskGroup::~TaskGroup() {
  if (running_ != 0) std::abort();  // a task would run on freed memory: stop here, where the cause is in sight
}

void TaskGroup::spawn(Task<void> task) {
  ++running_;
  loop_.resume_later(drive(*this, std::move(task)).coroutine);
}

TaskGroup::Root TaskGroup::drive(TaskGroup& group, Task<void> task) {
  std::exception_ptr fault;
  try {
    Task<void> running = std::move(task);  // gone before the group hears of it: so is all that it held
    co_await std::move(running);
  } catch (...) {
    fault = std::current_exception();
  }
  group.ended(fault);
}

Task<void> TaskGroup::join() {
  while (running_ != 0) (void)co_await idle_.wait();
}

void TaskGroup::when_idle(std::function<void()> then) {
  if (running_ == 0) return loop_.post(std::move(then));
  then_ = std::move(then);
}

void TaskGroup::ended(const std::exception_ptr& fault) noexcept {
  --running_;
  if (fault) {
    try {
      std::rethrow_exception(fault);
    } catch (const std::exception& e) {
      on_fault_(e.what());
    } catch (...) {
      on_fault_("not a std::exception");
    }
  }
  if (running_ != 0) return;
  idle_.notify();
  if (then_) loop_.post(std::exchange(then_, nullptr));
}

}  // namespace sluice::net
