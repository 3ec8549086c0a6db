// Values with units: durations, sizes, budgets, money.
#include "config/values.h"

#include <array>
#include <limits>

#include "config/loader.h"
#include "config/text.h"

namespace sluice::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::array kTimeUnits{Unit{"d", 86'400'000}, Unit{"h", 3'600'000}, Unit{"m", 60'000}, Unit{"s", 1'000},
                                Unit{"ms", 1}};
constexpr std::array kSizeUnits{Unit{"GiB", 1ULL << 30}, Unit{"MiB", 1ULL << 20}, Unit{"KiB", 1ULL << 10},
                                Unit{"B", 1}};

constexpr const char* kDurationForm = "a number with a unit: 10ms, 30s, 15m, 2h, 30d";
constexpr const char* kSizeForm = "a whole number with a unit: 512B, 64KiB, 16MiB, 1GiB";
constexpr const char* kBudgetForm =
    "tokens:N/PERIOD or usd:X/PERIOD, PERIOD one of day, month, total, e.g. \"tokens:1000000/month\" or "
    "\"usd:25.50/day soft\"";

absl::Status wrong(std::string_view text, std::string_view form) {
  return absl::InvalidArgumentError(cat("\"", text, "\" is not ", form));
}

// Whole digits, then a unit of the table. Nothing else, no sign, no overflow.
template <std::size_t N>
std::optional<std::uint64_t> parse_with_unit(std::string_view text, const std::array<Unit, N>& units) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::uint64_t number = 0;
  if (digits == 0 || !parse_whole(text.substr(0, digits), number)) return std::nullopt;
  for (const Unit& unit : units) {
    if (text.substr(digits) != unit.name) continue;
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / unit.factor)
      return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string format_with_unit(std::uint64_t number, const std::array<Unit, N>& units, std::string_view smallest) {
  if (number == 0) return cat("0", smallest);
  for (const Unit& unit : units) {
    if (number % unit.factor == 0) return cat(number / unit.factor, unit.name);
  }
  return cat(number, smallest);
}

}  // namespace

absl::StatusOr<Duration> parse_duration(std::string_view text) {
  const auto ms = parse_with_unit(text, kTimeUnits);
  if (!ms) return wrong(text, kDurationForm);
  return Duration(*ms);
}

absl::StatusOr<std::size_t> parse_size(std::string_view text) {
  const auto bytes = parse_with_unit(text, kSizeUnits);
  if (!bytes) return wrong(text, kSizeForm);
  return static_cast<std::size_t>(*bytes);
}

// Exact: digits, at most one point, at most six digits behind it. A double would round 0.1 + 0.2.
std::optional<std::uint64_t> parse_micro_usd(std::string_view text) {
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  std::string_view part = point == std::string_view::npos ? std::string_view("0") : text.substr(point + 1);
  const auto all_digits = [](std::string_view t) {
    return t.find_first_not_of("0123456789") == std::string_view::npos;
  };
  while (part.size() > 6 && part.ends_with('0')) part.remove_suffix(1);
  if (whole.empty() || part.empty() || part.size() > 6 || !all_digits(whole) || !all_digits(part)) return std::nullopt;
  std::string padded(part);
  padded.resize(6, '0');
  std::uint64_t dollars = 0;
  std::uint64_t micros = 0;
  if (!parse_whole(whole, dollars) || !parse_whole(padded, micros)) return std::nullopt;
  if (dollars > 9'000'000'000'000ULL) return std::nullopt;
  return dollars * 1'000'000 + micros;
}

absl::StatusOr<BudgetSpec> parse_budget(std::string_view text) {
  BudgetSpec budget;
  std::string_view rest = text;
  budget.soft = remove_suffix(rest, " soft");
  if (remove_suffix(rest, "/day")) {
    budget.period = BudgetPeriod::kDay;
  } else if (remove_suffix(rest, "/month")) {
    budget.period = BudgetPeriod::kMonth;
  } else if (remove_suffix(rest, "/total")) {
    budget.period = BudgetPeriod::kTotal;
  } else {
    return wrong(text, kBudgetForm);
  }
  if (remove_prefix(rest, "tokens:")) {
    const bool digits = !rest.empty() && rest.find_first_not_of("0123456789") == std::string_view::npos;
    if (!digits || !parse_whole(rest, budget.amount)) return wrong(text, kBudgetForm);
    budget.unit = BudgetUnit::kTokens;
    return budget;
  }
  if (remove_prefix(rest, "usd:")) {
    const auto micros = parse_micro_usd(rest);
    if (!micros) return wrong(text, kBudgetForm);
    budget.unit = BudgetUnit::kMicroUsd;
    budget.amount = *micros;
    return budget;
  }
  return wrong(text, kBudgetForm);
}

std::string format_duration(Duration duration) {
  return format_with_unit(static_cast<std::uint64_t>(duration.count()), kTimeUnits, duration.count() == 0 ? "s" : "ms");
}

std::string format_size(std::size_t size_bytes) { return format_with_unit(size_bytes, kSizeUnits, "B"); }

std::string format_usd(std::uint64_t micro_usd) {
  std::string part = cat(1'000'000 + micro_usd % 1'000'000).substr(1);
  while (part.size() > 2 && part.ends_with('0')) part.pop_back();
  return cat(micro_usd / 1'000'000, ".", part);
}

std::string format_budget(const BudgetSpec& budget) {
  static constexpr std::array kPeriods{"/day", "/month", "/total"};
  const std::string amount =
      budget.unit == BudgetUnit::kTokens ? cat("tokens:", budget.amount) : cat("usd:", format_usd(budget.amount));
  return cat(amount, kPeriods[static_cast<std::size_t>(budget.period)], budget.soft ? " soft" : "");
}

std::optional<std::uint64_t> key_number(std::string_view id) {
  std::uint64_t number = 0;
  if (!remove_prefix(id, "key_") || !parse_whole(id, number)) return std::nullopt;
  return number;
}

}  // namespace sluice::config
