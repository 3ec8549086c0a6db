// Strings and values of a request as they stand in its text, told apart without a parser: names by their first bytes, and
// whether a value says anything.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace sluice::wire {

struct RawName {
  std::size_t length = 0;
  bool plain = true;  // no escape, nothing beyond ASCII
};
// Of the string that begins behind its opening quote at `raw`: its length, up to `most`.
[[nodiscard]] inline RawName measure(const char* raw, std::size_t most) noexcept {
  RawName name;
  for (; name.length < most && raw[name.length] != '"'; ++name.length) {
    const char c = raw[name.length];
    if (c == '\\') ++name.length;
    if (c == '\\' || static_cast<unsigned char>(c) >= 0x80) name.plain = false;
  }
  return name;
}

// The string that begins behind its opening quote at `raw`, without its escapes: `raw` itself, or in `into`. Empty
// where it is longer than any of ours.
[[nodiscard]] std::string_view plain_text(const char* raw, std::span<char> into) noexcept;
inline constexpr std::size_t kPlainTextBytes = 32;

// Whether the string in `token` is `lower_case`, however it is spelt.
[[nodiscard]] bool says(std::string_view token, std::string_view lower_case) noexcept;

// Whether a value refers to anything: not null, "" or []. `token` begins with the value and ends where the next token
// of the text begins, which must be readable.
[[nodiscard]] bool refers(std::string_view token) noexcept;

}  // namespace sluice::wire
