// Rate limits as single atomics: a generic cell rate algorithm for what flows, a counter for what runs.
//
// A Gcra cell keeps one number, the theoretical arrival time (TAT): the moment at which everything charged so far would
// have flowed off at the limit's pace. Its distance from now is the debt; a minute's worth of debt is the burst. Time
// is monotonic, so a jump of the wall clock opens and closes nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/clock.h"

namespace sluice::ledger {

inline constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

[[nodiscard]] inline std::int64_t to_ns(MonoTime time) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

// Requests or tokens per minute.
// Thread: any; set_limit() from the control thread. Lock-free.
class Gcra final {
 public:
  static constexpr std::int64_t kBurstNs = 60'000'000'000;  // one minute's worth

  // A new pace for what comes; the debt, which is time, stays.
  void set_limit(std::optional<std::uint64_t> per_minute) noexcept {
    limit_.store(per_minute.value_or(kUnlimited), std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool limited() const noexcept { return limit() != kUnlimited; }

  // Charges `units` if that keeps the debt within the burst. Returns 0, or how many nanoseconds from now it would.
  // REQUIRES: units ≤ limit, else it would never fit.
  [[nodiscard]] std::int64_t try_charge(std::int64_t now, std::uint64_t units) noexcept {
    const std::int64_t cost = cost_ns(units);
    std::int64_t tat = tat_.load(std::memory_order_relaxed);
    for (;;) {
      const std::int64_t next = std::max(tat, now) + cost;
      if (next - now > kBurstNs) return next - now - kBurstNs;
      if (tat_.compare_exchange_weak(tat, next, std::memory_order_acq_rel, std::memory_order_relaxed)) return 0;
    }
  }

  // Charges whatever the debt: what was used is used, and later calls wait for it.
  void charge(std::int64_t now, std::uint64_t units) noexcept { move(now, cost_ns(units)); }

  // Gives back what was charged too much; never below now, or an idle minute would be worth two.
  void give_back(std::int64_t now, std::uint64_t units) noexcept { move(now, -cost_ns(units)); }

  [[nodiscard]] std::int64_t debt_ns(std::int64_t now) const noexcept {
    return std::max<std::int64_t>(0, tat_.load(std::memory_order_relaxed) - now);
  }
  [[nodiscard]] std::uint64_t remaining(std::int64_t now) const noexcept {
    const double free_ns = static_cast<double>(std::max<std::int64_t>(0, kBurstNs - debt_ns(now)));
    // The small addition undoes the rounding of costs: after n of 7 a minute, 7 - n are left.
    return static_cast<std::uint64_t>(free_ns * static_cast<double>(limit()) / static_cast<double>(kBurstNs) + 1e-6);
  }

 private:
  // Rounded down: `limit` units of the rounded cost must fit into the burst.
  [[nodiscard]] std::int64_t cost_ns(std::uint64_t units) const noexcept {
    if (units == 0) return 0;
    const double cost = static_cast<double>(units) * static_cast<double>(kBurstNs) / static_cast<double>(limit());
    return static_cast<std::int64_t>(std::min(cost, 1e17));  // three years; also what a limit of 0 comes to
  }
  void move(std::int64_t now, std::int64_t by) noexcept {
    std::int64_t tat = tat_.load(std::memory_order_relaxed);
    for (;;) {
      const std::int64_t next = std::max(std::max(tat, now) + by, now);
      if (next == tat) return;
      if (tat_.compare_exchange_weak(tat, next, std::memory_order_acq_rel, std::memory_order_relaxed)) return;
    }
  }

  std::atomic<std::int64_t> tat_{0};
  std::atomic<std::uint64_t> limit_{kUnlimited};
};

// Calls that run at once. A limit that is set while calls run counts those that begin from then on.
// Thread: any; set_limit() from the control thread. Lock-free.
class Slots final {
 public:
  void set_limit(std::optional<std::uint64_t> limit) noexcept {
    limit_.store(limit.value_or(kUnlimited), std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool limited() const noexcept { return limit() != kUnlimited; }
  [[nodiscard]] std::uint64_t in_use() const noexcept { return in_use_.load(std::memory_order_relaxed); }

  // Compare-and-swap, not add-and-look: an add that is taken back would refuse somebody else meanwhile.
  [[nodiscard]] bool try_take() noexcept {
    std::uint64_t used = in_use_.load(std::memory_order_relaxed);
    do {
      if (used >= limit()) return false;
    } while (!in_use_.compare_exchange_weak(used, used + 1, std::memory_order_acq_rel, std::memory_order_relaxed));
    return true;
  }
  void release() noexcept { in_use_.fetch_sub(1, std::memory_order_acq_rel); }

 private:
  std::atomic<std::uint64_t> in_use_{0};
  std::atomic<std::uint64_t> limit_{kUnlimited};
};

}  // namespace sluice::ledger
