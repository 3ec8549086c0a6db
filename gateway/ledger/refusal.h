// Why a limit or a budget said no, in numbers; and the sentence that tells a person.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/limits.h"
#include "base/refusal_kind.h"

namespace sluice::ledger {

// Which limit said no, as a record keeps it.
struct RefusedBy {
  RefusalKind kind = RefusalKind::kNone;
  Scope scope = Scope::kKey;
  BudgetUnit unit = BudgetUnit::kTokens;     // of a budget
  BudgetPeriod period = BudgetPeriod::kDay;  // of a budget
  bool operator==(const RefusedBy&) const = default;
};

struct Refusal {
  RefusalKind kind = RefusalKind::kNone;
  Scope scope = Scope::kKey;
  BudgetUnit unit = BudgetUnit::kTokens;
  BudgetPeriod period = BudgetPeriod::kTotal;
  std::uint64_t limit = 0;                   // a minute, at once, or of the budget
  std::uint64_t left = 0;                    // of it
  std::uint64_t reserved = 0;                // of a budget, by calls in flight
  std::uint64_t needed = 0;                  // by this call, at least
  std::chrono::milliseconds retry_after{0};  // when a retry may succeed; 0: none will
  WallTime resets;                           // of a budget: when its period turns; epoch: never
  std::string_view name;                     // of the user, tenant or model; valid while the ledger lives
  std::string_view model;                    // of a model or user-on-model

  [[nodiscard]] bool refused() const noexcept { return kind != RefusalKind::kNone; }
  [[nodiscard]] RefusedBy by() const noexcept { return refused() ? RefusedBy{kind, scope, unit, period} : RefusedBy{}; }
};

// "Budget of 1000000 tokens a month of user alice is used up: 0 left, it resets at 2026-12-01T00:00:00Z." Allocates.
[[nodiscard]] std::string describe(const Refusal& refusal);

// The limit's name for programs: "requests_per_minute", "concurrency", "tokens_per_month", "micro_usd_in_all"; empty
// for kNone. The view is valid as long as `into`.
[[nodiscard]] std::string_view limit_name(const RefusedBy& by, std::span<char, 32> into) noexcept;

// "12.50 USD", "4000 tokens"
[[nodiscard]] std::string amount_text(BudgetUnit unit, std::uint64_t amount);
[[nodiscard]] const char* to_string(Scope scope) noexcept;          // "key" "user" "tenant" "model" "user_on_model"
[[nodiscard]] const char* to_string(BudgetPeriod period) noexcept;  // "day" "month" "total"
[[nodiscard]] const char* to_string(BudgetUnit unit) noexcept;      // "tokens" "usd"

}  // namespace sluice::ledger
