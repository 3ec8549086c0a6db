// A clock that a test moves.
#pragma once

#include <atomic>

#include "base/clock.h"

namespace sluice {

// Thread: any.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime wall = WallTime(std::chrono::seconds(1'795'000'000))) { set_wall(wall); }  // 2026-11-18
  [[nodiscard]] MonoTime mono() const noexcept override { return MonoTime(std::chrono::nanoseconds(mono_ns_.load())); }
  [[nodiscard]] WallTime wall() const noexcept override { return WallTime(std::chrono::microseconds(wall_us_.load())); }

  // Both clocks, as time does.
  void pass(std::chrono::nanoseconds time) {
    mono_ns_ += time.count();
    wall_us_ += std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  }
  // The wall clock alone, as an operator does.
  void set_wall(WallTime wall) { wall_us_ = wall.time_since_epoch().count(); }

 private:
  std::atomic<std::int64_t> mono_ns_{1'000'000'000'000};
  std::atomic<std::int64_t> wall_us_{0};
};

}  // namespace sluice
