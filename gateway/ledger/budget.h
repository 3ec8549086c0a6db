// One budget's counters: what is settled, what is committed (settled and reserved), per period.
//
// Each calendar period that was ever opened has one cell and gets one grant, wherever the wall clock jumps: a clock
// that goes back finds the cell that it left, and one that comes again finds what was used there. A reservation belongs
// to the cell in which it was taken, also when the month turns while its call runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/limits.h"
#include "ledger/period.h"
#include "ledger/rate_cell.h"
#include "ledger/ticket.h"

namespace sluice::ledger {

class Budget;
struct ScopeCells;

// Invariant at rest: committed == settled + what the tickets in flight have reserved here.
// A hold reserves at least 1, and settle() touches `settled` last; so committed == settled means that nobody holds the
// cell.
struct alignas(64) PeriodCell {
  PeriodCell(Budget* owner, Period when) noexcept : period(when), budget(owner) {}

  std::atomic<std::uint64_t> committed{0};
  std::atomic<std::uint64_t> settled{0};
  const Period period;
  Budget* const budget;
  std::atomic<PeriodCell*> next{nullptr};  // cells opened before
  std::int64_t unused_since_ns = -1;       // control thread: when it was first seen unused, then when it was taken out
  PeriodCell* next_retired = nullptr;      // control thread

  enum class Took : std::uint8_t { kYes, kNo };
  // Takes `amount` if committed stays within `limit`.
  [[nodiscard]] Took reserve(std::uint64_t amount, std::uint64_t limit) noexcept {
    std::uint64_t now = committed.load(std::memory_order_relaxed);
    do {
      if (now > limit || amount > limit - now) return Took::kNo;
    } while (!committed.compare_exchange_weak(now, now + amount, std::memory_order_acq_rel, std::memory_order_relaxed));
    return Took::kYes;
  }
  void undo(std::uint64_t amount) noexcept { committed.fetch_sub(amount, std::memory_order_acq_rel); }
  // Returns what was settled before.
  std::uint64_t settle(std::uint64_t reserved, std::uint64_t measured) noexcept {
    committed.fetch_add(measured - reserved, std::memory_order_acq_rel);  // wraps where it shrinks
    return measured == 0 ? settled.load(std::memory_order_relaxed)
                         : settled.fetch_add(measured, std::memory_order_acq_rel);
  }
};

[[nodiscard]] inline std::uint64_t left_of(std::uint64_t limit, std::uint64_t used) noexcept {
  return limit == kUnlimited ? kUnlimited : used >= limit ? 0 : limit - used;
}

// Where a budget stands now. `reserved` may lag by what other threads settle at this moment.
struct BudgetCount {
  std::uint64_t hard = kUnlimited, soft = kUnlimited;
  std::uint64_t settled = 0, reserved = 0;
  Period period;
  [[nodiscard]] std::uint64_t left() const noexcept { return left_of(hard, settled + reserved); }
};

// The budget of one scope in one unit and one kind of period; a hard and a soft amount share its counters.
// Thread:   at(), hard(), soft() any, lock-free; the rest from the control thread.
// Lifetime: never freed while the ledger lives, also when the conf drops it: calls may hold its cells, and the conf may
// bring it back.
class Budget final {
 public:
  // `before`: a budget of the same kind that had stopped to apply, whose cells calls may still hold; or none.
  Budget(const ScopeCells& owner, BudgetUnit unit, BudgetPeriod period, const absl::TimeZone& zone, WallTime now,
         Epoch since = 0, std::unique_ptr<Budget> before = nullptr);
  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  [[nodiscard]] const ScopeCells& owner() const noexcept { return owner_; }
  [[nodiscard]] BudgetUnit unit() const noexcept { return unit_; }
  [[nodiscard]] BudgetPeriod period() const noexcept { return period_; }
  // Calls that reserved in an epoch before this one do not hold it.
  [[nodiscard]] Epoch since() const noexcept { return since_; }
  [[nodiscard]] std::uint64_t hard() const noexcept { return hard_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t soft() const noexcept { return soft_.load(std::memory_order_relaxed); }
  void set_amounts(std::uint64_t hard, std::uint64_t soft) noexcept {
    hard_.store(hard, std::memory_order_relaxed);
    soft_.store(soft, std::memory_order_relaxed);
  }

  // The cell of the period that `now` lies in; opens it at the turn (the only allocation, once a period).
  [[nodiscard]] PeriodCell& at(WallTime now) noexcept {
    PeriodCell* cell = current_.load(std::memory_order_acquire);
    return cell->period.contains(to_us(now)) ? *cell : turn(now);
  }
  [[nodiscard]] BudgetCount count(WallTime now) noexcept;
  // The cell of the period that `us` lies in; null: it was never opened here.
  [[nodiscard]] PeriodCell* find(std::int64_t us) const noexcept;

  // Adds use from the store or the journal to the period that begins at `period.begin_us`. Returns what was settled
  // there before.
  std::uint64_t restore(Period period, std::uint64_t settled) noexcept;
  // Of every period, what calls in flight hold.
  [[nodiscard]] std::uint64_t reserved() const noexcept;
  // Appends every cell's period and settled use.
  void list(std::vector<std::pair<Period, std::uint64_t>>& into) const;
  // Takes cells of periods gone by that no call holds out of the list, and frees what was taken out `kGrace` before: a
  // worker that looked a cell up is between its look and its hold for nanoseconds.
  void sweep(MonoTime now) noexcept;
  static constexpr std::chrono::hours kGrace{1};

 private:
  PeriodCell& turn(WallTime now) noexcept;
  PeriodCell* open(Period period) noexcept;

  const ScopeCells& owner_;
  const BudgetUnit unit_;
  const BudgetPeriod period_;
  const absl::TimeZone zone_;
  const Epoch since_;
  const std::unique_ptr<Budget> before_;
  std::atomic<std::uint64_t> hard_{kUnlimited}, soft_{kUnlimited};
  std::atomic<PeriodCell*> current_{nullptr};
  std::atomic<PeriodCell*> head_{nullptr};      // all cells, the last opened first
  PeriodCell* retired_ = nullptr;               // control thread: taken out of the list, not yet freed
  std::atomic<std::int64_t> closed_before_us_;  // periods that begin before it and have no cell are over, not new
};

}  // namespace sluice::ledger
