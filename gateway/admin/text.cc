#include "admin/text.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "config/loader.h"

namespace sluice::admin {
namespace {

using std::chrono::microseconds;

std::string_view prefix_of(Scope scope) noexcept {
  switch (scope) {
    case Scope::kTenant:
      return "tenant_";
    case Scope::kUser:
      return "user_";
    default:
      return "key_";
  }
}

bool has_control(std::string_view text) noexcept {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// Exactly `digits` digits at the front of `text`, taken off.
std::optional<int> take_digits(std::string_view& text, std::size_t digits) noexcept {
  int value = 0;
  if (text.size() < digits) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc{} || end != text.data() + digits || value < 0) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}
bool take(std::string_view& text, char c) noexcept {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<WallTime> parse_moment(std::string_view text) noexcept {
  using namespace std::chrono;
  const auto y = take_digits(text, 4);
  if (!y || !take(text, '-')) return std::nullopt;
  const auto m = take_digits(text, 2);
  if (!m || !take(text, '-')) return std::nullopt;
  const auto d = take_digits(text, 2);
  if (!d) return std::nullopt;
  const year_month_day date{year(*y), month(static_cast<unsigned>(*m)), day(static_cast<unsigned>(*d))};
  if (!date.ok()) return std::nullopt;
  WallTime time = sys_days(date);
  if (text.empty()) return time;
  if (!take(text, 'T') && !take(text, ' ')) return std::nullopt;
  const auto h = take_digits(text, 2);
  if (!h || *h > 23 || !take(text, ':')) return std::nullopt;
  const auto min = take_digits(text, 2);
  if (!min || *min > 59) return std::nullopt;
  time += hours(*h) + minutes(*min);
  if (take(text, ':')) {
    const auto s = take_digits(text, 2);
    if (!s || *s > 59) return std::nullopt;
    time += seconds(*s);
    if (take(text, '.')) {
      const auto ms = take_digits(text, 3);
      if (!ms) return std::nullopt;
      time += milliseconds(*ms);
    }
  }
  return take(text, 'Z') && text.empty() ? std::optional(time) : std::nullopt;
}

}  // namespace

std::string format_id(Scope scope, std::uint64_t id) { return std::string(prefix_of(scope)) + std::to_string(id); }

std::optional<std::uint64_t> parse_id(Scope scope, std::string_view text) noexcept {
  const std::string_view prefix = prefix_of(scope);
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size() || id > INT64_MAX) return std::nullopt;
  return id;
}

std::string format_time(WallTime time) {
  using namespace std::chrono;
  const auto date = floor<days>(time);
  const year_month_day ymd{date};
  const hh_mm_ss clock{floor<milliseconds>(time - date)};
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(ymd.year()),
                static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return text;
}

absl::StatusOr<WallTime> parse_time(std::string_view text) {
  if (const auto moment = parse_moment(text)) return *moment;
  return absl::InvalidArgumentError("'" + std::string(text) +
                                    "' is not a time: give 2027-01-31 or 2027-01-31T12:00:00Z (UTC)");
}

absl::StatusOr<WallTime> parse_time(std::string_view text, WallTime now, Counted counted) {
  if (const auto moment = parse_moment(text)) return *moment;
  const auto duration = config::parse_duration(text);
  // A thousand years bound the sum; beyond it is a slip of the finger.
  if (duration.ok() && duration->count() > 0 && *duration < std::chrono::hours(24 * 365'000))
    return counted == Counted::kFuture ? now + *duration : now - *duration;
  return absl::InvalidArgumentError(
      "'" + std::string(text) +
      "' is not a time: give a duration such as 30d, or 2027-01-31 or 2027-01-31T12:00:00Z (UTC)");
}

absl::Status check_name(std::string_view what, std::string_view name) {
  const auto wrong = [&](const char* why) {
    return absl::InvalidArgumentError("the " + std::string(what) + " name " + why);
  };
  if (name.empty()) return wrong("is missing");
  if (name.size() > 64) return wrong("is longer than 64 bytes");
  if (has_control(name)) return wrong("holds a control character");
  if (name.front() == ' ' || name.back() == ' ') return wrong("begins or ends with a space");
  if (parse_id(Scope::kTenant, name) || parse_id(Scope::kUser, name) || parse_id(Scope::kKey, name))
    return wrong("looks like an id; choose another");
  return absl::OkStatus();
}

absl::Status check_model(std::string_view name) {
  if (name.empty() || name.size() > 128 || has_control(name))
    return absl::InvalidArgumentError("a model name is 1 to 128 bytes without control characters");
  return absl::OkStatus();
}

absl::Status check_amounts(const LimitSpec& limits, std::span<const BudgetSpec> budgets) {
  // SQLite and the ledger count in 63 bits.
  const auto too_big = [](const std::optional<std::uint64_t>& n) { return n.value_or(0) > INT64_MAX; };
  if (too_big(limits.requests_per_minute) || too_big(limits.tokens_per_minute) || too_big(limits.concurrency) ||
      std::ranges::any_of(budgets, [&](const BudgetSpec& budget) { return too_big(budget.amount); }))
    return absl::InvalidArgumentError("a limit or budget is too large; the most is 9223372036854775807");
  return absl::OkStatus();
}

}  // namespace sluice::admin
