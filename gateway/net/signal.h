// Signal: how one coroutine sleeps until another part of its worker has something for it.
#pragma once

#include <optional>

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

  // REQUIRES: no other wait() under way.
  Task<Wake> wait(Deadline deadline = Deadline::never());

  // Forgets notifications that nobody has waited for.
  void reset() noexcept { pending_ = false; }

 private:
  using Token = asio::use_awaitable_t<Executor>;
  using Handler = asio::async_result<Token, void(Wake)>::handler_type;

  void expired() noexcept override;
  void resume(Wake wake) noexcept;

  Loop& loop_;
  bool pending_ = false;
  std::optional<Handler> waiter_;
};

}  // namespace sluice::net
