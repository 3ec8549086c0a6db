// Tokens to micro-dollars, in whole numbers, rounded up once per call.
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
// A reservation takes the dearest that the tokens may turn out to be.
[[nodiscard]] constexpr std::uint64_t dearest_prompt(const Price& p) noexcept { return std::max(p.prompt, p.cached); }
[[nodiscard]] constexpr std::uint64_t dearest_output(const Price& p) noexcept {
  return std::max(p.completion, p.reasoning);
}

[[nodiscard]] constexpr std::uint64_t cost_at_most(const Price& p, std::uint64_t prompt,
                                                   std::uint64_t output) noexcept {
  return per_million(multiply(prompt, dearest_prompt(p)) + multiply(output, dearest_output(p)));
}

// What a call has cost.
[[nodiscard]] constexpr std::uint64_t cost(const Price& p, const Usage& usage) noexcept {
  const std::uint64_t cached = std::min(usage.cached_tokens, usage.prompt_tokens);
  const std::uint64_t reasoning = std::min(usage.reasoning_tokens, usage.completion_tokens);
  return per_million(multiply(usage.prompt_tokens - cached, p.prompt) + multiply(cached, p.cached) +
                     multiply(usage.completion_tokens - reasoning, p.completion) + multiply(reasoning, p.reasoning));
}

}  // namespace sluice::ledger
