// What may be limited and budgeted, as plain settings. Nothing here counts anything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

struct LimitSpec {
  std::optional<std::uint64_t> requests_per_minute;
  std::optional<std::uint64_t> tokens_per_minute;
  std::optional<std::uint64_t> concurrency;
  bool operator==(const LimitSpec&) const = default;
};

enum class BudgetUnit : std::uint8_t { kTokens, kMicroUsd };
enum class BudgetPeriod : std::uint8_t { kDay, kMonth, kTotal };

// "1000000 tokens a month", "25 USD a day". `amount` counts tokens or micro-dollars.
struct BudgetSpec {
  BudgetUnit unit = BudgetUnit::kTokens;
  BudgetPeriod period = BudgetPeriod::kMonth;
  std::uint64_t amount = 0;
  bool soft = false;  // a soft budget warns and never refuses
  bool operator==(const BudgetSpec&) const = default;
};

enum class Scope : std::uint8_t { kKey, kUser, kTenant, kModel, kUserModel };

// Micro-dollars per million tokens, for one model.
struct Price {
  std::uint64_t prompt = 0;
  std::uint64_t cached = 0;
  std::uint64_t completion = 0;
  std::uint64_t reasoning = 0;  // for the reasoning part of completion tokens
  bool operator==(const Price&) const = default;
};

}  // namespace sluice
