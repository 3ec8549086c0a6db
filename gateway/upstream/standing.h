// How a place does with one model, as all workers have seen it: its breaker, and how soon its streams begin.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "upstream/breaker.h"

namespace sluice::upstream {

// The time to a first token that is to be expected: jumps to a peak at once, comes down slowly, and is forgotten where
// nothing is heard any more (peak EWMA).
// Thread: any. Two samples at once may count as one.
class FirstToken final {
 public:
  void note(std::chrono::microseconds took, MonoTime now) noexcept {
    const auto sample = static_cast<std::uint64_t>(took.count() > 0 ? took.count() : 1);
    const std::uint64_t before = expected_us(now);
    // A quarter of the way down.
    expected_.store(sample >= before ? sample : before - (before - sample) / 4, std::memory_order_relaxed);
    at_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
  // In microseconds; 0: nothing is known.
  [[nodiscard]] std::uint64_t expected_us(MonoTime now) const noexcept {
    const std::uint64_t expected = expected_.load(std::memory_order_relaxed);
    if (expected == 0) return 0;
    const auto silent = now.time_since_epoch() - MonoTime::duration(at_.load(std::memory_order_relaxed));
    const auto halvings = silent / kHalfLife;
    return halvings <= 0 ? expected : halvings > 40 ? 0 : expected >> halvings;
  }

 private:
  static constexpr std::chrono::seconds kHalfLife{10};
  std::atomic<std::uint64_t> expected_{0};
  std::atomic<MonoTime::rep> at_{0};
};

// Lifetime: shared, because places are made anew at each reload, and calls outlive them.
struct Standing {
  Breaker breaker;
  FirstToken first_token;
};

}  // namespace sluice::upstream
