// Skims JSON that an upstream sent: steps over the members of an object, by brackets and quotes alone, with no copy, no
// allocation and no second look at a byte. A streamed chunk needs three or four of its members and leaves byte for byte
// otherwise, so a parse of the whole of it (simdjson included) would cost more than everything else that happens to it.
// What it does not see: escapes in names (an upstream does not escape its own names), malformed numbers, bad UTF-8.
// Requests come from strangers and are read by CallReader, exactly.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::wire {

// The first quote or backslash, or `end`.
[[nodiscard]] inline const char* find_quote_or_backslash(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  for (; end - at >= 16; at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const auto hits = static_cast<unsigned>(
        _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash))));
    if (hits != 0) return at + std::countr_zero(hits);
  }
#endif
  while (at < end && *at != '"' && *at != '\\') ++at;
  return at;
}

// The first quote or bracket, or `end`.
[[nodiscard]] inline const char* find_quote_or_bracket(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i low_case = _mm_set1_epi8(0x20);  // maps [ ] onto { }
  const __m128i opening = _mm_set1_epi8('{');
  const __m128i closing = _mm_set1_epi8('}');
  for (; end - at >= 16; at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i folded = _mm_or_si128(block, low_case);
    const auto hits = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(
        _mm_cmpeq_epi8(block, quote), _mm_or_si128(_mm_cmpeq_epi8(folded, opening), _mm_cmpeq_epi8(folded, closing)))));
    if (hits != 0) return at + std::countr_zero(hits);
  }
#endif
  while (at < end && *at != '"' && (*at | 0x20) != '{' && (*at | 0x20) != '}') ++at;
  return at;
}

// The place behind the string's closing quote; null: it does not end. `at` stands behind the opening quote.
[[nodiscard]] inline const char* skim_string(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  while (end - at >= 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const auto hits = static_cast<unsigned>(
        _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash))));
    if (hits == 0) {
      at += 16;
      continue;
    }
    at += std::countr_zero(hits);
    if (*at == '"') return at + 1;
    if (end - at < 2) return nullptr;
    at += 2;
  }
#endif
  while (at < end) {
    if (*at == '"') return at + 1;
    at += *at == '\\' ? 2 : 1;
  }
  return nullptr;
}

// The place behind the bracket that closes the container opened at `at`; null: it is not closed.
[[nodiscard]] inline const char* skim_container(const char* at, const char* end) noexcept {
  std::size_t depth = 0;
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i low_case = _mm_set1_epi8(0x20);  // maps [ ] onto { }
  const __m128i opening = _mm_set1_epi8('{');
  const __m128i closing = _mm_set1_epi8('}');
  while (end - at >= 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i folded = _mm_or_si128(block, low_case);
    auto hits = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(
        _mm_cmpeq_epi8(block, quote), _mm_or_si128(_mm_cmpeq_epi8(folded, opening), _mm_cmpeq_epi8(folded, closing)))));
    const char* next = at + 16;
    for (; hits != 0; hits &= hits - 1) {
      const char* hit = at + std::countr_zero(hits);
      if (*hit == '"') {
        next = skim_string(hit + 1, end);
        if (next == nullptr) return nullptr;
        break;
      }
      if ((*hit | 0x20) == '{') {
        ++depth;
      } else if (--depth == 0) {
        return hit + 1;
      }
    }
    at = next;
  }
#endif
  while (at < end) {
    switch (*at++) {
      case '"':
        at = skim_string(at, end);
        if (at == nullptr) return nullptr;
        break;
      case '{':
      case '[':
        ++depth;
        break;
      case '}':
      case ']':
        if (--depth == 0) return at;
        break;
      default:
        break;
    }
  }
  return nullptr;
}

// One member of an object, as it stands in the text. `name` without its quotes, `value` without white space around it.
struct SkimMember {
  std::string_view name;
  std::string_view value;
  const char* begin = nullptr;  // the name's opening quote
  [[nodiscard]] const char* end() const noexcept { return value.data() + value.size(); }
};

enum class Skim : std::uint8_t { kMember, kEnd, kMalformed };

// Steps over the members of one object, or the elements of one array.
// Lifetime: views point into the text.
class Skimmer final {
 public:
  explicit Skimmer(std::string_view text) noexcept : at_(text.data()), end_(text.data() + text.size()) {}

  // Moves behind the bracket. kMalformed: the text does not start with it.
  [[nodiscard]] Skim open(char bracket) noexcept {
    skip_space();
    if (at_ == end_ || *at_ != bracket) return Skim::kMalformed;
    close_ = bracket == '{' ? '}' : ']';
    ++at_;
    first_ = true;
    return Skim::kMember;
  }

  [[nodiscard]] Skim member(SkimMember& into) noexcept {
    if (const Skim step = separator(); step != Skim::kMember) return step;
    into.begin = at_;
    if (at_ == end_ || *at_ != '"') return Skim::kMalformed;
    const char* behind = skim_string(at_ + 1, end_);
    if (behind == nullptr) return Skim::kMalformed;
    into.name = {at_ + 1, static_cast<std::size_t>(behind - at_ - 2)};
    at_ = behind;
    skip_space();
    if (at_ == end_ || *at_ != ':') return Skim::kMalformed;
    ++at_;
    skip_space();
    return value(into.value);
  }

  [[nodiscard]] Skim element(std::string_view& into) noexcept {
    if (const Skim step = separator(); step != Skim::kMember) return step;
    return value(into);
  }

  // Behind what was read last; after kEnd behind the closing bracket.
  [[nodiscard]] const char* position() const noexcept { return at_; }

 private:
  void skip_space() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }

  Skim separator() noexcept {
    skip_space();
    if (at_ == end_) return Skim::kMalformed;
    if (*at_ == close_) {
      ++at_;
      return Skim::kEnd;
    }
    if (!first_) {
      if (*at_ != ',') return Skim::kMalformed;
      ++at_;
      skip_space();
    }
    first_ = false;
    return Skim::kMember;
  }

  Skim value(std::string_view& into) noexcept {
    if (at_ == end_) return Skim::kMalformed;
    const char* begin = at_;
    if (*at_ == '"') {
      at_ = skim_string(at_ + 1, end_);
    } else if (*at_ == '{' || *at_ == '[') {
      at_ = skim_container(at_, end_);
    } else {
      while (at_ != end_ && is_scalar(*at_)) ++at_;
      if (at_ == begin) return Skim::kMalformed;
    }
    if (at_ == nullptr) {
      at_ = end_;
      return Skim::kMalformed;
    }
    into = {begin, static_cast<std::size_t>(at_ - begin)};
    return Skim::kMember;
  }

  // true, false, null and numbers, and what some servers write in their stead: NaN, -Infinity, None.
  static bool is_scalar(char c) noexcept {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '+' ||
           c == '.' || c == '_';
  }

  const char* at_;
  const char* end_;
  char close_ = '}';
  bool first_ = true;
};

// The value of the member `name` of the object `text`; empty: none, or not an object.
[[nodiscard]] inline std::string_view skim_find(std::string_view text, std::string_view name) noexcept {
  Skimmer skimmer(text);
  if (skimmer.open('{') != Skim::kMember) return {};
  SkimMember member;
  while (skimmer.member(member) == Skim::kMember) {
    if (member.name == name) return member.value;
  }
  return {};
}

// The number, or nothing counted: 0 for what is negative, not a number or beyond 2^53. A fraction is cut off.
[[nodiscard]] inline std::uint64_t skim_count(std::string_view value) noexcept {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 53;
  std::uint64_t number = 0;
  for (const char c : value) {
    if (c == '.') break;
    if (c < '0' || c > '9') return 0;
    number = number * 10 + static_cast<unsigned>(c - '0');
    if (number > kMost) return 0;
  }
  return number;
}

[[nodiscard]] inline bool is_string(std::string_view value) noexcept { return value.size() >= 2 && value[0] == '"'; }
// What stands between the quotes, still escaped. REQUIRES: is_string(value).
[[nodiscard]] inline std::string_view unquoted(std::string_view value) noexcept {
  return value.substr(1, value.size() - 2);
}

}  // namespace sluice::wire
