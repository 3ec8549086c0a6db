// TaskGroup: the one way to start a coroutine, and the promise that none outlives its owner.
#pragma once

#include <exception>
#include <functional>

#include "base/task.h"
#include "net/signal.h"

namespace sluice::net {

// Thread:   owning worker only.
// Lifetime: join() before destruction; the destructor aborts the program if a task still runs.
// Cancel:   tasks are ended through their own signals and streams; the group only counts them.
class TaskGroup final {
 public:
  // `on_fault` hears of an exception that left a task: a bug, to be counted and logged. Nothing else may throw.
  TaskGroup(Loop& loop, std::function<void(const char* what)> on_fault)
      : loop_(loop), idle_(loop), on_fault_(std::move(on_fault)) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  // Starts `task` in a later turn of the loop.
  void spawn(Task<void> task);

  // Waits until no task runs. Tasks spawned meanwhile are waited for too. REQUIRES: one join() at a time.
  Task<void> join();

  // Calls `then` once, in a later turn, as soon as no task runs: how an owner without a coroutine of its own waits.
  void when_idle(std::function<void()> then);

  [[nodiscard]] std::size_t running() const noexcept { return running_; }

 private:
  // The outermost coroutine of a task: nobody awaits it, and it frees itself.
  struct Root {
    struct promise_type : Pooled {
      Root get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
      std::suspend_always initial_suspend() const noexcept { return {}; }
      std::suspend_never final_suspend() const noexcept { return {}; }
      void return_void() const noexcept {}
      void unhandled_exception() const noexcept { std::terminate(); }
    };
    std::coroutine_handle<> coroutine;
  };
  static Root drive(TaskGroup& group, Task<void> task);
  void ended(const std::exception_ptr& fault) noexcept;

  Loop& loop_;
  Signal idle_;
  std::function<void(const char*)> on_fault_;
  std::function<void()> then_;
  std::size_t running_ = 0;
};

}  // namespace sluice::net
