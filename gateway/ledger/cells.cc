#include "ledger/cells.h"

#include <algorithm>

namespace sluice::ledger {

Budget* ScopeCells::budget(BudgetUnit unit, BudgetPeriod period) const noexcept {
  const std::size_t kind = kind_of(unit, period);
  const bool applies = (budget_mask.load(std::memory_order_acquire) >> kind & 1) != 0;
  return applies ? budgets[kind].load(std::memory_order_acquire) : nullptr;
}

std::uint8_t ScopeCells::configure(const LimitSpec& limits, const std::vector<BudgetSpec>& specs,
                                   const absl::TimeZone& zone, WallTime now, Epoch since) {
  requests.set_limit(limits.requests_per_minute);
  tokens.set_limit(limits.tokens_per_minute);
  slots.set_limit(limits.concurrency);
  std::array<std::uint64_t, kBudgetKinds> hard, soft;
  hard.fill(kUnlimited);
  soft.fill(kUnlimited);
  const std::uint8_t before = budget_mask.load(std::memory_order_relaxed);
  std::uint8_t mask = 0;
  for (const BudgetSpec& spec : specs) {
    const std::size_t kind = kind_of(spec.unit, spec.period);
    const auto bit = static_cast<std::uint8_t>(1u << kind);
    std::uint64_t& amount = spec.soft ? soft[kind] : hard[kind];
    amount = std::min(amount, spec.amount);
    if (((before | mask) & bit) == 0) {
      std::unique_ptr<Budget> gone(budgets[kind].load(std::memory_order_relaxed));
      budgets[kind].store(new Budget(*this, spec.unit, spec.period, zone, now, since, std::move(gone)),
                          std::memory_order_release);
    }
    mask |= bit;
  }
  for (std::size_t kind = 0; kind < kBudgetKinds; ++kind) {
    if (Budget* at = budgets[kind].load(std::memory_order_acquire)) at->set_amounts(hard[kind], soft[kind]);
  }
  budget_mask.store(mask, std::memory_order_release);
  return static_cast<std::uint8_t>(mask & ~before);
}

UserModelTable::~UserModelTable() {
  for (std::size_t i = 0; i < kBuckets; ++i) {
    for (UserModelCells* at = buckets_[i].load(std::memory_order_acquire); at != nullptr;) {
      UserModelCells* next = at->next;
      delete at;
      at = next;
    }
  }
}

UserModelCells* UserModelTable::find(std::uint64_t key) const noexcept {
  UserModelCells* at = bucket(key).load(std::memory_order_acquire);
  while (at != nullptr && at->key != key) at = at->next;
  return at;
}

UserModelCells* UserModelTable::insert(std::unique_ptr<UserModelCells> fresh) noexcept {
  auto& head = bucket(fresh->key);
  UserModelCells* first = head.load(std::memory_order_acquire);
  for (;;) {
    for (UserModelCells* at = first; at != nullptr; at = at->next) {
      if (at->key == fresh->key) return at;
    }
    fresh->next = first;
    if (head.compare_exchange_strong(first, fresh.get(), std::memory_order_acq_rel, std::memory_order_acquire)) {
      size_.fetch_add(1, std::memory_order_relaxed);
      return fresh.release();
    }
  }
}

}  // namespace sluice::ledger
