// Signal: how one coroutine sleeps until another part of its worker has something for it.
#pragma once

#include <coroutine>

#include "base/task.h"
#include "net/deadline.h"
#include "net/loop.h"

namespace sluice::net {

enum class Wake : std::uint8_t { kNotified, kDeadline };

// An auto-reset event with one waiter: any number of notify() before or during a wait() end one wait().
// Thread:   owning worker only.
// Lifetime: outlives the waiting coroutine's wait().
// Cancel:   notify() is the only way to end a wait early; say why in the state that the waiter looks at.
class Signal final : private Alarm {
 public:
  explicit Signal(Loop& loop) noexcept : Alarm(loop.wheel()), loop_(loop) {}

  // Never resumes the waiter inside the call: it runs in a later turn of the loop, so one read that feeds many
  // streams feeds them all before the first of them runs.
  void notify() noexcept;

  // `co_await signal.wait(deadline)` gives a Wake. REQUIRES: no other wait() under way.
  class [[nodiscard]] Waiting;
  Waiting wait(Deadline deadline = Deadline::never()) noexcept;

  // Of the worker that waits.
  [[nodiscard]] Loop& loop() noexcept { return loop_; }

  // Forgets notifications that nobody has waited for.
  void reset() noexcept { pending_ = false; }

 private:
  void expired() noexcept override;
  void resume(Wake wake) noexcept;

  Loop& loop_;
  bool pending_ = false;
  Wake wake_ = Wake::kNotified;  // why the last wait ended
  std::coroutine_handle<> waiter_;
};

class Signal::Waiting final {
 public:
  Waiting(Signal& signal, Deadline deadline) noexcept : signal_(signal), deadline_(deadline) {}
  [[nodiscard]] bool await_ready() noexcept;
  void await_suspend(std::coroutine_handle<> waiter) noexcept;
  [[nodiscard]] Wake await_resume() const noexcept { return signal_.wake_; }

 private:
  Signal& signal_;
  Deadline deadline_;
};

inline Signal::Waiting Signal::wait(Deadline deadline) noexcept { return {*this, deadline}; }

}  // namespace sluice::net
