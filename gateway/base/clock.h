// Time. Deadlines use the monotonic clock; periods of budgets and audit records use the wall clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace sluice {

using Mono = std::chrono::steady_clock;
using MonoTime = Mono::time_point;
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

// What tells the time to the ledger and the directory, so that a test can move it.
// Thread: any.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual MonoTime mono() const noexcept = 0;
  [[nodiscard]] virtual WallTime wall() const noexcept = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] MonoTime mono() const noexcept override { return Mono::now(); }
  [[nodiscard]] WallTime wall() const noexcept override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
};

}  // namespace sluice
