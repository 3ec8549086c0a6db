// How the admin API and the command line write ids, times and limits.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/limits.h"
#include "ledger/refusal.h"

namespace sluice::admin {

// "tenant_3", "user_12", "key_40": an id that says what it is, so that one is not taken for another.
[[nodiscard]] std::string format_id(Scope scope, std::uint64_t id);
[[nodiscard]] std::optional<std::uint64_t> parse_id(Scope scope, std::string_view text) noexcept;
using ledger::to_string;  // of scopes: as the ledger says them in its refusals

// "2026-11-21T01:48:31.250Z".
[[nodiscard]] std::string format_time(WallTime time);
// A date "2027-01-31" or a moment "2027-01-31T12:00:00Z", in UTC; kInvalidArgument.
[[nodiscard]] absl::StatusOr<WallTime> parse_time(std::string_view text);
// The same, or a duration counted from now: "30d" is in thirty days (kFuture), or was thirty days ago (kPast).
enum class Counted : std::uint8_t { kFuture, kPast };
[[nodiscard]] absl::StatusOr<WallTime> parse_time(std::string_view text, WallTime now, Counted counted);

// Names of tenants, users and agents: 1 to 64 bytes of UTF-8 without control characters, space at either end, or the
// look of an id.
[[nodiscard]] absl::Status check_name(std::string_view what, std::string_view name);
// Names of models: 1 to 128 bytes without control characters.
[[nodiscard]] absl::Status check_model(std::string_view name);
// Limits and budgets that store and ledger can count.
[[nodiscard]] absl::Status check_amounts(const LimitSpec& limits, std::span<const BudgetSpec> budgets);

}  // namespace sluice::admin
