// The alphabets of HTTP header fields, for both directions. Pure.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
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

#if defined(__SSE2__)
inline constexpr std::size_t kLeastBytes = 4;  // of a text that is looked at in blocks of 16 bytes

// All of a text of at most 16 bytes: its beginning and its end, and what is in the middle may be in both.
inline __m128i short_block(std::string_view text) noexcept {
  if (text.size() >= 8) {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::memcpy(&begin, text.data(), sizeof begin);
    std::memcpy(&end, text.data() + text.size() - sizeof end, sizeof end);
    return _mm_set_epi64x(end, begin);
  }
  std::int32_t begin = 0;
  std::int32_t end = 0;
  std::memcpy(&begin, text.data(), sizeof begin);
  std::memcpy(&end, text.data() + text.size() - sizeof end, sizeof end);
  return _mm_set_epi32(end, begin, end, begin);
}

// Whether each block of a text passes; the last one holds its last 16 bytes, seen before or not.
template <bool (*kPasses)(__m128i)>
bool each_block(std::string_view text) noexcept {
  if (text.size() <= 16) return kPasses(short_block(text));
  const auto block = [&](std::size_t at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(&text[at])); };
  for (std::size_t at = 0; at < text.size() - 16; at += 16) {
    if (!kPasses(block(at))) return false;
  }
  return kPasses(block(text.size() - 16));
}

// All bits of each byte that is from `least` to `most`.
inline __m128i within(__m128i bytes, char least, char most) noexcept {
  const __m128i from_least = _mm_sub_epi8(bytes, _mm_set1_epi8(least));
  return _mm_cmpeq_epi8(_mm_min_epu8(from_least, _mm_set1_epi8(static_cast<char>(most - least))), from_least);
}

// Letters, digits and "-": what nearly every name is made of.
inline bool plain_name_block(__m128i bytes) noexcept {
  const __m128i letters = within(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
  const __m128i others = _mm_or_si128(within(bytes, '0', '9'), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
  return _mm_movemask_epi8(_mm_or_si128(letters, others)) == 0xffff;
}

inline bool value_block(__m128i bytes) noexcept {
  const __m128i control = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t')), within(bytes, 0, 0x1f));
  return _mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)))) == 0;
}
#endif

}  // namespace field_text

// A field name or a method.
[[nodiscard]] inline bool is_token(std::string_view text) noexcept {
#if defined(__SSE2__)
  if (text.size() >= field_text::kLeastBytes && field_text::each_block<field_text::plain_name_block>(text)) return true;
#endif
  for (const char c : text) {
    if (!field_text::kToken[static_cast<unsigned char>(c)]) return false;
  }
  return !text.empty();
}

[[nodiscard]] inline bool is_field_value(std::string_view text) noexcept {
#if defined(__SSE2__)
  if (text.size() >= field_text::kLeastBytes) return field_text::each_block<field_text::value_block>(text);
#endif
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
