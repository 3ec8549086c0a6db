#include "ledger/refusal.h"

#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <fmt/format.h>

#include <cstdio>

namespace sluice::ledger {
namespace {

std::string owner(const Refusal& refusal) {
  switch (refusal.scope) {
    case Scope::kKey:
      return "this key";
    case Scope::kUser:
      return fmt::format("user {}", refusal.name);
    case Scope::kTenant:
      return fmt::format("tenant {}", refusal.name);
    case Scope::kModel:
      return fmt::format("model {}", refusal.model);
    case Scope::kUserModel:
      return fmt::format("user {} on model {}", refusal.name, refusal.model);
  }
  return "this key";
}

std::string budget_text(const Refusal& refusal) {
  const std::string span =
      refusal.period == BudgetPeriod::kTotal ? "in all" : fmt::format("a {}", to_string(refusal.period));
  return fmt::format("Budget of {} {} of {}", amount_text(refusal.unit, refusal.limit), span, owner(refusal));
}

std::string reset_text(const Refusal& refusal) {
  if (refusal.period == BudgetPeriod::kTotal) return "It does not reset.";
  const absl::CivilSecond at =
      absl::ToCivilSecond(absl::FromUnixMicros(refusal.resets.time_since_epoch().count()), absl::UTCTimeZone());
  return fmt::format("It resets at {:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z.", at.year(), at.month(), at.day(), at.hour(),
                     at.minute(), at.second());
}

}  // namespace

const char* to_string(Scope scope) noexcept {
  switch (scope) {
    case Scope::kKey:
      return "key";
    case Scope::kUser:
      return "user";
    case Scope::kTenant:
      return "tenant";
    case Scope::kModel:
      return "model";
    case Scope::kUserModel:
      return "user_on_model";
  }
  return "key";
}

const char* to_string(BudgetPeriod period) noexcept {
  switch (period) {
    case BudgetPeriod::kDay:
      return "day";
    case BudgetPeriod::kMonth:
      return "month";
    case BudgetPeriod::kTotal:
      return "total";
  }
  return "total";
}

const char* to_string(BudgetUnit unit) noexcept { return unit == BudgetUnit::kTokens ? "tokens" : "usd"; }

std::string_view limit_name(const RefusedBy& by, std::span<char, 32> into) noexcept {
  switch (by.kind) {
    case RefusalKind::kNone:
      return {};
    case RefusalKind::kRequests:
      return "requests_per_minute";
    case RefusalKind::kTokens:
      return "tokens_per_minute";
    case RefusalKind::kConcurrency:
      return "concurrency";
    case RefusalKind::kSpent:
    case RefusalKind::kReserved:
    case RefusalKind::kTooLarge:
      break;
  }
  const bool in_all = by.period == BudgetPeriod::kTotal;
  const int length =
      std::snprintf(into.data(), into.size(), "%s_%s%s", by.unit == BudgetUnit::kTokens ? "tokens" : "micro_usd",
                    in_all ? "in_all" : "per_", in_all ? "" : to_string(by.period));
  return {into.data(), static_cast<std::size_t>(length)};
}

std::string amount_text(BudgetUnit unit, std::uint64_t amount) {
  if (unit == BudgetUnit::kTokens) return fmt::format("{} tokens", amount);
  std::string text = fmt::format("{}.{:06}", amount / 1'000'000, amount % 1'000'000);
  while (text.back() == '0' && text[text.size() - 3] != '.') text.pop_back();
  return text + " USD";
}

std::string describe(const Refusal& r) {
  const auto wait = [&] {
    return fmt::format("Try again in {:.3g} s.", static_cast<double>(r.retry_after.count()) / 1'000);
  };
  switch (r.kind) {
    case RefusalKind::kNone:
      return {};
    case RefusalKind::kRequests:
      return fmt::format("Rate limit of {} requests a minute of {} is reached: {} left. {}", r.limit, owner(r), r.left,
                         wait());
    case RefusalKind::kTokens:
      return fmt::format("Rate limit of {} tokens a minute of {} is reached: {} left, this call needs {}. {}", r.limit,
                         owner(r), r.left, r.needed, wait());
    case RefusalKind::kConcurrency:
      return fmt::format("Limit of {} calls at once of {} is reached: 0 left. Try again when one has ended.", r.limit,
                         owner(r));
    case RefusalKind::kSpent:
      return fmt::format("{} is used up: nothing is left. {}", budget_text(r), reset_text(r));
    case RefusalKind::kReserved:
      return fmt::format(
          "{} has {} left beside the {} that running calls have reserved; this call needs {}. Try again when they "
          "have ended. {}",
          budget_text(r), amount_text(r.unit, r.left), amount_text(r.unit, r.reserved), amount_text(r.unit, r.needed),
          reset_text(r));
    case RefusalKind::kTooLarge:
      return fmt::format("{} has {} left; this call needs at least {}. {}", budget_text(r), amount_text(r.unit, r.left),
                         amount_text(r.unit, r.needed), reset_text(r));
  }
  return {};
}

}  // namespace sluice::ledger
