// Small questions about text that every layer asks, each answered once.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace sluice {

// Without the white space at both ends. `white`: what counts as such; by default that of HTTP fields (RFC 9110, 5.6.3).
[[nodiscard]] constexpr std::string_view trimmed(std::string_view text, std::string_view white = " \t") noexcept {
  const auto is_white = [white](char c) noexcept {  // find() would call a library for these few
    for (const char each : white) {
      if (c == each) return true;
    }
    return false;
  };
  while (!text.empty() && is_white(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_white(text.back())) text.remove_suffix(1);
  return text;
}
// White space of JSON (RFC 8259, 2).
inline constexpr std::string_view kJsonWhite = " \t\r\n";

[[nodiscard]] constexpr char lower_case(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
// Letters of ASCII compare without regard to case. REQUIRES: `lower` is in lower case.
[[nodiscard]] constexpr bool same_ignoring_case(std::string_view text, std::string_view lower) noexcept {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (lower_case(text[i]) != lower[i]) return false;
  }
  return true;
}

// 0 to 15; -1: no hexadecimal digit.
[[nodiscard]] constexpr int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = lower_case(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Decodes each %XX once (RFC 3986, 2.1); '+' stays what it is. Gives a view of `into`; nothing: an escape is unfinished
// or not hexadecimal, or `into` is too small.
[[nodiscard]] std::optional<std::string_view> percent_decode(std::string_view text, std::span<char> into) noexcept;
// The same into a string of its own.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);

// Appends `text` with every byte escaped that is not unreserved (RFC 3986, 2.3), as one segment or value of a URL.
void append_percent_encoded(std::string& into, std::string_view text);

// Hashes names, so that a map of strings is asked with a view.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};
template <class T>
using NameMap = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;

}  // namespace sluice
