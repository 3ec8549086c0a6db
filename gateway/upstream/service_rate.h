// How fast those who wait for a model get its slots: measured, so that a call can be told how long it will wait.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace sluice::upstream {

// The time from one turn to the next, over the last turns of the time in which calls have waited without a break.
// Thread: owning worker only.
class ServiceRate final {
 public:
  // Somebody waits, as nobody did before.
  void begin(MonoTime now) noexcept {
    at_[0] = now;
    count_ = 1;
  }
  // A slot came free for somebody who waited. REQUIRES: begin().
  void note_turn(MonoTime now) noexcept { at_[count_++ % at_.size()] = now; }
  // The last turn was none: nobody took the slot.
  void take_back() noexcept {
    if (count_ > 1) --count_;
  }
  // Nobody waits any more. What was measured is believed until there is something newer.
  void end(MonoTime now) noexcept {
    before_ = interval(now);
    count_ = 0;
  }
  // Nothing: no slot has come free yet. A standstill shows in it.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> interval(MonoTime now) const noexcept {
    if (count_ < 2) return before_;
    const std::size_t kept = std::min(count_, at_.size());
    const MonoTime oldest = at_[(count_ - kept) % at_.size()], newest = at_[(count_ - 1) % at_.size()];
    const auto turns = static_cast<std::int64_t>(kept - 1);
    return std::max<std::chrono::nanoseconds>((newest - oldest) / turns, (now - oldest) / (turns + 1));
  }

 private:
  std::array<MonoTime, 17> at_{};
  std::size_t count_ = 0;
  std::optional<std::chrono::nanoseconds> before_;
};

}  // namespace sluice::upstream
