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
// A reservation takes the dearest that the tokens may turn out to be. What is no token is not reserved, only charged.
[[nodiscard]] constexpr std::uint64_t dearest_prompt(const Price& p) noexcept {
  return std::max({p.prompt, p.cached, p.cache_write, p.audio_input});
}
[[nodiscard]] constexpr std::uint64_t dearest_output(const Price& p) noexcept {
  return std::max({p.completion, p.reasoning, p.audio_output});
}

[[nodiscard]] constexpr std::uint64_t cost_at_most(const Price& p, std::uint64_t prompt,
                                                   std::uint64_t output) noexcept {
  return per_million(multiply(prompt, dearest_prompt(p)) + multiply(output, dearest_output(p)));
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
  [[nodiscard]] constexpr std::uint64_t micros() const noexcept { return per_million(sum_); }

 private:
  std::uint64_t sum_ = 0;
};

// What a call has cost.
[[nodiscard]] constexpr std::uint64_t cost(const Price& p, const Usage& usage) noexcept {
  Bill bill;
  std::uint64_t prompt = usage.prompt_tokens;
  bill.add_part(prompt, usage.cached_tokens, p.cached);
  bill.add_part(prompt, usage.cache_write_tokens, p.cache_write);
  bill.add_part(prompt, usage.audio_input_tokens, p.audio_input);
  bill.add(prompt, p.prompt);
  std::uint64_t completion = usage.completion_tokens;
  bill.add_part(completion, usage.reasoning_tokens, p.reasoning);
  bill.add_part(completion, usage.audio_output_tokens, p.audio_output);
  bill.add(completion, p.completion);
  bill.add(usage.images, p.images);
  bill.add(usage.seconds, p.seconds);
  bill.add(usage.characters, p.characters);
  bill.add(usage.searches, p.searches);
  return bill.micros();
}

}  // namespace sluice::ledger
