// The alphabets of HTTP header fields, for both directions. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/text.h"

namespace sluice::http {

namespace field_text {

// RFC 9110, 5.6.2.
constexpr bool token_character(unsigned c) noexcept {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c < 0x7f && std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
}
// Visible characters, space, tab, and bytes beyond ASCII (RFC 9110, 5.5).
constexpr bool value_character(unsigned c) noexcept { return c == '\t' || (c >= ' ' && c != 0x7f); }

template <bool (*kOf)(unsigned)>
constexpr std::array<bool, 256> table() noexcept {
  std::array<bool, 256> made{};
  for (unsigned c = 0; c < 256; ++c) made[c] = kOf(c);
  return made;
}
inline constexpr std::array<bool, 256> kToken = table<token_character>();
inline constexpr std::array<bool, 256> kValue = table<value_character>();

}  // namespace field_text

// A field name or a method.
[[nodiscard]] inline bool is_token(std::string_view text) noexcept {
  for (const char c : text) {
    if (!field_text::kToken[static_cast<unsigned char>(c)]) return false;
  }
  return !text.empty();
}

[[nodiscard]] inline bool is_field_value(std::string_view text) noexcept {
  for (const char c : text) {
    if (!field_text::kValue[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

// Whether a comma-separated list of tokens, such as Connection, has `lower`.
[[nodiscard]] inline bool list_has(std::string_view list, std::string_view lower) noexcept {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (same_ignoring_case(trimmed(list.substr(0, comma)), lower)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// A whole decimal number of at most 18 digits, nothing else.
[[nodiscard]] inline std::optional<std::uint64_t> parse_length(std::string_view digits) noexcept {
  if (digits.empty() || digits.size() > 18) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

}  // namespace sluice::http
