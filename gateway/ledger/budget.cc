#include "ledger/budget.h"

#include <algorithm>
#include <new>
#include <utility>

namespace sluice::ledger {

Budget::Budget(const ScopeCells& owner, BudgetUnit unit, BudgetPeriod period, const absl::TimeZone& zone, WallTime now,
               Epoch since, std::unique_ptr<Budget> before)
    : owner_(owner), unit_(unit), period_(period), zone_(zone), since_(since), before_(std::move(before)) {
  auto* first = new PeriodCell(this, period_of(period, now, zone));
  closed_before_us_.store(first->period.begin_us, std::memory_order_relaxed);
  head_.store(first, std::memory_order_relaxed);
  current_.store(first, std::memory_order_release);
}

Budget::~Budget() {
  for (PeriodCell* cell = head_.load(std::memory_order_acquire); cell != nullptr;) {
    PeriodCell* next = cell->next.load(std::memory_order_relaxed);
    delete cell;
    cell = next;
  }
  while (retired_ != nullptr) {
    PeriodCell* cell = retired_;
    retired_ = cell->next_retired;
    delete cell;
  }
}

PeriodCell* Budget::find(std::int64_t us) const noexcept {
  for (PeriodCell* cell = head_.load(std::memory_order_acquire); cell != nullptr;
       cell = cell->next.load(std::memory_order_acquire)) {
    if (cell->period.contains(us)) return cell;
  }
  return nullptr;
}

// Two threads may both miss the cell and both make one; the compare-and-swap on the head lets one in, and the other
// looks again. Null: no memory.
PeriodCell* Budget::open(Period period) noexcept {
  auto* fresh = new (std::nothrow) PeriodCell(this, period);
  if (fresh == nullptr) return nullptr;
  PeriodCell* head = head_.load(std::memory_order_acquire);
  for (;;) {
    if (PeriodCell* other = find(period.begin_us)) {
      delete fresh;
      return other;
    }
    // `head` was read before find(), so a cell pushed since makes this fail and find() run again.
    fresh->next.store(head, std::memory_order_relaxed);
    if (head_.compare_exchange_strong(head, fresh, std::memory_order_acq_rel, std::memory_order_acquire)) return fresh;
  }
}

PeriodCell& Budget::turn(WallTime now) noexcept {
  PeriodCell* cell = find(to_us(now));
  if (cell == nullptr) {
    const Period period = period_of(period_, now, zone_);
    if (period.begin_us >= closed_before_us_.load(std::memory_order_acquire)) {
      cell = open(period);
    } else {
      // The clock stands before everything that we know: opening that period would grant it twice. The earliest one
      // goes on.
      for (PeriodCell* c = head_.load(std::memory_order_acquire); c != nullptr;
           c = c->next.load(std::memory_order_acquire)) {
        if (cell == nullptr || c->period.begin_us < cell->period.begin_us) cell = c;
      }
    }
    if (cell == nullptr) return *current_.load(std::memory_order_acquire);
  }
  current_.store(cell, std::memory_order_release);
  return *cell;
}

BudgetCount Budget::count(WallTime now) noexcept {
  PeriodCell& cell = at(now);
  BudgetCount count{.hard = hard(), .soft = soft(), .settled = 0, .reserved = 0, .period = cell.period};
  const std::uint64_t committed = cell.committed.load(std::memory_order_acquire);
  count.settled = cell.settled.load(std::memory_order_acquire);
  count.reserved = committed > count.settled ? committed - count.settled : 0;
  return count;
}

std::uint64_t Budget::restore(Period period, std::uint64_t settled) noexcept {
  PeriodCell* cell = find(period.begin_us);
  if (cell == nullptr) cell = open(period);
  return cell == nullptr ? 0 : cell->settle(0, settled);
}

std::uint64_t Budget::reserved() const noexcept {
  std::uint64_t sum = before_ == nullptr ? 0 : before_->reserved();
  for (PeriodCell* cell = head_.load(std::memory_order_acquire); cell != nullptr;
       cell = cell->next.load(std::memory_order_acquire)) {
    sum += cell->committed.load(std::memory_order_acquire) - cell->settled.load(std::memory_order_acquire);
  }
  return sum;
}

void Budget::list(std::vector<std::pair<Period, std::uint64_t>>& into) const {
  for (PeriodCell* cell = head_.load(std::memory_order_acquire); cell != nullptr;
       cell = cell->next.load(std::memory_order_acquire)) {
    into.emplace_back(cell->period, cell->settled.load(std::memory_order_acquire));
  }
}

void Budget::sweep(MonoTime time) noexcept {
  if (before_ != nullptr) before_->sweep(time);
  const std::int64_t now = to_ns(time);
  const std::int64_t grace = std::chrono::nanoseconds(kGrace).count();
  const auto unheld = [](const PeriodCell& cell) {
    return cell.committed.load(std::memory_order_acquire) == cell.settled.load(std::memory_order_acquire);
  };
  for (PeriodCell** link = &retired_; *link != nullptr;) {
    PeriodCell* cell = *link;
    if (now - cell->unused_since_ns < grace || !unheld(*cell)) {
      link = &cell->next_retired;
      continue;
    }
    *link = cell->next_retired;
    delete cell;
  }
  PeriodCell* const current = current_.load(std::memory_order_acquire);
  PeriodCell* before = head_.load(std::memory_order_acquire);  // the head stays: workers push there
  for (PeriodCell* cell = before->next.load(std::memory_order_acquire); cell != nullptr;) {
    PeriodCell* const next =
        cell->next.load(std::memory_order_acquire);  // kept by a retired cell, for those who stand on it
    const bool unused = cell != current && cell->period.end_us <= current->period.begin_us && unheld(*cell);
    if (!unused) cell->unused_since_ns = -1;
    if (unused && cell->unused_since_ns < 0) cell->unused_since_ns = now;
    // An hour first: a clock that jumped ahead and comes back finds its cell.
    if (unused && now - cell->unused_since_ns >= grace) {
      closed_before_us_.store(std::max(closed_before_us_.load(std::memory_order_relaxed), cell->period.end_us),
                              std::memory_order_release);
      before->next.store(next, std::memory_order_release);
      cell->unused_since_ns = now;
      cell->next_retired = retired_;
      retired_ = cell;
    } else {
      before = cell;
    }
    cell = next;
  }
}

}  // namespace sluice::ledger
