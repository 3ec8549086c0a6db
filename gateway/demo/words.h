// Deterministic text: the same seed gives the same words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::demo {

// The word of token `index`, with a space before it but for the first. Needs no escape in JSON.
[[nodiscard]] std::string_view word(std::uint64_t seed, std::uint64_t index) noexcept;

// The words of `count` tokens.
[[nodiscard]] std::string words(std::uint64_t seed, std::uint64_t count);

// The seed of one choice of several.
[[nodiscard]] constexpr std::uint64_t choice_seed(std::uint64_t seed, std::uint64_t choice) noexcept {
  return seed + choice * 0x9E3779B97F4A7C15ULL;
}

// Well spread bits of `value` (splitmix64).
[[nodiscard]] std::uint64_t spread(std::uint64_t value) noexcept;

// Appends `text` escaped for a JSON string, without quotes.
void append_escaped(std::string& into, std::string_view text);

// Base64 with padding.
[[nodiscard]] std::string base64(std::string_view bytes);

}  // namespace sluice::demo
