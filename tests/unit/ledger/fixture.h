// A ledger on a clock that stands, with one key of one user of one tenant on one model.
#pragma once

#include <absl/time/civil_time.h>
#include <gtest/gtest.h>

#include "base/manual_clock.h"
#include "ledger/ledger.h"

namespace sluice::ledger {

using std::chrono::hours;
using std::chrono::seconds;

inline constexpr Scopes kCall{.key = 0, .user = 0, .tenant = 0, .model = 0, .user_id = 21, .user_name = "ada"};

[[nodiscard]] inline BudgetSpec tokens(std::uint64_t amount, BudgetPeriod period = BudgetPeriod::kMonth,
                                       bool soft = false) {
  return {.unit = BudgetUnit::kTokens, .period = period, .amount = amount, .soft = soft};
}
[[nodiscard]] inline BudgetSpec micro_usd(std::uint64_t amount, BudgetPeriod period = BudgetPeriod::kMonth) {
  return {.unit = BudgetUnit::kMicroUsd, .period = period, .amount = amount, .soft = false};
}
[[nodiscard]] inline Usage measured(std::uint64_t prompt, std::uint64_t completion) {
  return {.source = UsageSource::kMeasured, .prompt_tokens = prompt, .completion_tokens = completion};
}
[[nodiscard]] inline WallTime at(int year, int month, int day, int hour = 0, int minute = 0) {
  const absl::Time time = absl::FromCivil(absl::CivilMinute(year, month, day, hour, minute), absl::UTCTimeZone());
  return WallTime(std::chrono::microseconds(absl::ToUnixMicros(time)));
}

class LedgerTest : public ::testing::Test {
 protected:
  void key_budget(std::vector<BudgetSpec> budgets) { ledger.set_scope(Scope::kKey, 0, 1, "", {}, budgets); }
  void key_limits(LimitSpec limits) { ledger.set_scope(Scope::kKey, 0, 1, "", limits, {}); }

  // The one budget of the key, as explain() tells it.
  Explanation key_state() {
    for (Explanation& line : ledger.explain(kCall)) {
      if (line.what == Explanation::What::kBudget && line.scope == Scope::kKey) return line;
    }
    return {};
  }
  // A whole call that reserves and measures so much.
  Grant call(std::uint64_t prompt, std::uint64_t completion) {
    Ticket ticket;
    Grant grant = ledger.reserve(ticket, kCall, {.prompt = prompt, .output_cap = completion, .cap_given = true});
    if (!grant.refusal.refused()) ledger.settle(ticket, measured(prompt, completion));
    return grant;
  }

  ManualClock clock{at(2026, 11, 18)};
  Ledger ledger{clock, {.slice = 2'048}};
};

}  // namespace sluice::ledger
