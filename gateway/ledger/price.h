// Meters to micro-dollars, in whole numbers, rounded up once per call.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/limits.h"
#include "base/usage.h"

namespace sluice::ledger {

inline constexpr std::uint64_t kMaxAmount = std::numeric_limits<std::int64_t>::max() / 4;  // sums of a few never wrap
inline constexpr std::uint64_t kMaxTokens = std::uint64_t{1} << 40;

[[nodiscard]] constexpr std::uint64_t multiply(std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) || product > kMaxAmount ? kMaxAmount : product;
}
[[nodiscard]] constexpr std::uint64_t per_million(std::uint64_t value) noexcept {
  return value / 1'000'000 + (value % 1'000'000 != 0);
}

[[nodiscard]] constexpr bool is_free(const Price& price) noexcept { return price == Price{}; }

// Of a batch the prompts are a sum, which says of none of them how long it is.
[[nodiscard]] constexpr bool is_long(const Price& p, std::uint64_t prompt_tokens, PriceClass of) noexcept {
  return p.long_context.above != 0 && of != PriceClass::kBatch && prompt_tokens > p.long_context.above;
}
// Of a price, or of a sum of them. Rounded up.
[[nodiscard]] constexpr std::uint64_t percent_of(std::uint64_t value, std::uint64_t percent) noexcept {
  return percent == 100 ? value : multiply(value / 100, percent) + (value % 100 * percent + 99) / 100;
}
[[nodiscard]] constexpr std::uint64_t percent_for(const Price& p, PriceClass of) noexcept {
  return of == PriceClass::kBatch ? p.batch_percent : 100;
}

// Micro-dollars per million tokens, whatever kind of tokens they are.
struct Rates {
  std::uint64_t prompt = 0, output = 0;
};
// A reservation takes the dearest that the tokens may turn out to be. What is no token is not reserved, only charged.
// A prompt is an estimate: from three quarters of where long ones begin it may turn out to be one.
[[nodiscard]] constexpr Rates dearest(const Price& p, std::uint64_t prompt_estimate, PriceClass of) noexcept {
  Rates rates{.prompt = std::max({p.prompt, p.cached, p.cache_write, p.cache_write_1h, p.audio_input}),
              .output = std::max({p.completion, p.reasoning, p.audio_output})};
  const LongPrice& l = p.long_context;
  if (is_long(p, prompt_estimate + l.above / 4, of)) {
    rates.prompt = std::max({rates.prompt, l.prompt, l.cached, l.cache_write, l.cache_write_1h, l.audio_input});
    rates.output = std::max({rates.output, l.completion, l.reasoning, l.audio_output});
  }
  return {.prompt = percent_of(rates.prompt, percent_for(p, of)),
          .output = percent_of(rates.output, percent_for(p, of))};
}

[[nodiscard]] constexpr std::uint64_t cost_at_most(const Rates& rates, std::uint64_t prompt,
                                                   std::uint64_t output) noexcept {
  return per_million(multiply(prompt, rates.prompt) + multiply(output, rates.output));
}

// Sums what meters cost, before it is rounded. A part of a side comes before its rest, and a token that two parts claim
// (audio that came from a cache) is paid once, at the price of the first.
class Bill final {
 public:
  // `count` of something that is counted by itself.
  constexpr void add(std::uint64_t count, std::uint64_t price) noexcept {
    sum_ = std::min(sum_ + multiply(count, price), kMaxAmount);
  }
  // `part` of what is left of a side's tokens.
  constexpr void add_part(std::uint64_t& left, std::uint64_t part, std::uint64_t price) noexcept {
    const std::uint64_t count = std::min(part, left);
    left -= count;
    add(count, price);
  }
  // Tokens of both sides, by the members of Price or LongPrice.
  template <class Prices>
  constexpr void add_tokens(const Prices& p, const Usage& usage) noexcept {
    std::uint64_t prompt = usage.prompt_tokens;
    const std::uint64_t hour = std::min(usage.cache_write_1h_tokens, usage.cache_write_tokens);
    add_part(prompt, usage.cached_tokens, p.cached);
    add_part(prompt, hour, p.cache_write_1h);
    add_part(prompt, usage.cache_write_tokens - hour, p.cache_write);
    add_part(prompt, usage.audio_input_tokens, p.audio_input);
    add(prompt, p.prompt);
    std::uint64_t completion = usage.completion_tokens;
    add_part(completion, usage.reasoning_tokens, p.reasoning);
    add_part(completion, usage.audio_output_tokens, p.audio_output);
    add(completion, p.completion);
  }
  [[nodiscard]] constexpr std::uint64_t micros(std::uint64_t percent) const noexcept {
    return per_million(percent_of(sum_, percent));
  }

 private:
  std::uint64_t sum_ = 0;
};

// What a call has cost.
[[nodiscard]] constexpr std::uint64_t cost(const Price& p, const Usage& usage,
                                           PriceClass of = PriceClass::kStandard) noexcept {
  Bill bill;
  is_long(p, usage.prompt_tokens, of) ? bill.add_tokens(p.long_context, usage) : bill.add_tokens(p, usage);
  bill.add(usage.images, p.images);
  bill.add(usage.seconds, p.seconds);
  bill.add(usage.characters, p.characters);
  bill.add(usage.searches, p.searches);
  return bill.micros(percent_for(p, of));
}

// By which of a model's prices a call was charged, as records have it: a sum of these; 0: its ordinary one.
inline constexpr std::uint8_t kTierLong = 1, kTierBatch = 2;
[[nodiscard]] constexpr std::uint8_t tier_of(const Price& p, std::uint64_t prompt_tokens, PriceClass of) noexcept {
  const bool batch = of == PriceClass::kBatch && p.batch_percent != 100;
  return static_cast<std::uint8_t>((is_long(p, prompt_tokens, of) ? kTierLong : 0) | (batch ? kTierBatch : 0));
}

// The price without tiers of a call of one tier, of tokens alone: what a crash is charged by.
[[nodiscard]] constexpr Price in_tier(const Price& p, std::uint64_t prompt_tokens, PriceClass of) noexcept {
  const std::uint64_t percent = percent_for(p, of);
  const auto of_tokens = [percent](const auto& prices) {
    return Price{.prompt = percent_of(prices.prompt, percent),
                 .cached = percent_of(prices.cached, percent),
                 .completion = percent_of(prices.completion, percent),
                 .reasoning = percent_of(prices.reasoning, percent)};
  };
  return is_long(p, prompt_tokens, of) ? of_tokens(p.long_context) : of_tokens(p);
}

}  // namespace sluice::ledger
