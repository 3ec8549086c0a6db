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

// What kind of call it is that is charged: providers take less for one that may wait.
enum class PriceClass : std::uint8_t { kStandard, kBatch };

// The prices of tokens, as in Price, of calls whose prompt is longer than `above` tokens: of all their tokens.
struct LongPrice {
  std::uint64_t above = 0;  // tokens; 0: there is no such price
  std::uint64_t prompt = 0, cached = 0, completion = 0, reasoning = 0, cache_write = 0, cache_write_1h = 0;
  std::uint64_t audio_input = 0, audio_output = 0;
  bool operator==(const LongPrice&) const = default;
};

// Micro-dollars per million of what a meter of Usage counts, for one model. A price of a part stands in place of the
// whole's.
struct Price {
  std::uint64_t prompt = 0;
  std::uint64_t cached = 0;  // for the cached part of prompt tokens
  std::uint64_t completion = 0;
  std::uint64_t reasoning = 0;       // for the reasoning part of completion tokens
  std::uint64_t cache_write = 0;     // for the part of prompt tokens that was written to a cache
  std::uint64_t cache_write_1h = 0;  // for the part of these that is to be kept for an hour
  std::uint64_t audio_input = 0;     // for the audio part of prompt tokens
  std::uint64_t audio_output = 0;    // for the audio part of completion tokens
  std::uint64_t images = 0;
  std::uint64_t seconds = 0;
  std::uint64_t characters = 0;
  std::uint64_t searches = 0;
  LongPrice long_context{};
  std::uint64_t batch_percent = 100;  // of all of these, for a call of a batch
  bool operator==(const Price&) const = default;
};

}  // namespace sluice
