// What one call holds in the ledger while it runs: a concurrency slot on every limit that counts them, charged tokens,
// and one reservation over every budget that applies. One owner, one finaliser.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/limits.h"
#include "ledger/price.h"

namespace sluice::ledger {

struct ScopeCells;
struct PeriodCell;

inline constexpr std::uint32_t kNoIndex = 0xffffffff;

// Whose counters a call touches: dense indexes of the directory and the conf.
struct Scopes {
  std::uint32_t key = kNoIndex, user = kNoIndex, tenant = kNoIndex, model = kNoIndex;
  std::uint64_t user_id = 0;     // names the user in budgets of a user on a model
  std::string_view user_name{};  // valid while the call runs
};

// Counts the times that budgets were made. A call that was settled in an epoch is charged to every budget of that epoch
// and of those before it; 0: none.
using Epoch = std::uint32_t;

// What the x-ratelimit headers say: the tightest limit of each kind that applies to the call.
struct RateView {
  bool present = false;
  std::uint64_t limit = 0;
  std::uint64_t remaining = 0;
  std::chrono::milliseconds reset{0};
};

// Written by the Ledger alone; others read `requests`, `tokens` and empty().
// Thread:   the worker of its call.
// Lifetime: in the call's frame, and not past the ledger. Must be empty when it dies: release_limits() and settle()
//           have run. A build with a sanitizer or without optimisation stops where it is not.
struct Ticket {
  static constexpr std::size_t kMaxLimits = 4;       // key, user, tenant, model
  static constexpr std::size_t kMaxBudgets = 5 * 6;  // those and user-on-model × (tokens, money) × (day, month, total)

  Ticket() noexcept = default;
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  ~Ticket();

  [[nodiscard]] bool empty() const noexcept { return limit_count == 0 && budget_count == 0; }

  RateView requests;
  RateView tokens;

  struct LimitHold {
    ScopeCells* cells;
    std::uint64_t charged_tokens;
    bool slot;     // counts as one of those at once
    bool request;  // was charged one request
    bool tokens;   // was charged tokens
  };
  struct BudgetHold {
    PeriodCell* cell;
    std::uint64_t reserved;  // tokens or micro-dollars
  };
  std::size_t limit_count = 0;
  std::size_t budget_count = 0;
  Scopes scopes;          // of the reservation
  Epoch reserved_in = 0;  // 0: nothing to settle
  Epoch settled_in = 0;
  std::uint64_t counted_output = 0;   // completion tokens that the limits have been charged
  std::int64_t day_us = 0;            // when the budgets' day began that the call is charged to
  std::uint64_t reserved_prompt = 0;  // tokens
  std::uint64_t reserved_output = 0;  // tokens
  PriceClass price_class = PriceClass::kStandard;
  Rates rates;  // what its tokens may cost at most
  Price price;  // as it was at admission: what is reserved and what is settled are told in one price
  std::array<LimitHold, kMaxLimits> limits;     // the first limit_count are set
  std::array<BudgetHold, kMaxBudgets> budgets;  // the first budget_count are set
};

}  // namespace sluice::ledger
