// JSON strings: out of their escapes, and into them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sluice::wire {

// Appends `text` escaped, without quotes. Bytes that are not UTF-8 leave as U+FFFD, so the result is always valid.
template <class String>
void append_escaped(String& out, std::string_view text);

// Appends `text` as a JSON string with its quotes (RFC 8259, section 7).
template <class String>
void append_json_string(String& into, std::string_view text) {
  into += '"';
  append_escaped(into, text);
  into += '"';
}

// Decodes the inside of a JSON string into `into`, as much as fits, never ending inside a character. Bad escapes and
// lone surrogates become U+FFFD; returns what was written.
[[nodiscard]] std::string_view unescape(std::string_view escaped, std::span<char> into) noexcept;

// A member's name as it stands between its quotes, without its escapes: `name` itself where it has none, else what fits
// into `scratch`.
[[nodiscard]] inline std::string_view plain_name(std::string_view name, std::span<char> scratch) noexcept {
  return name.find('\\') == std::string_view::npos ? name : unescape(name, scratch);
}

// The length in bytes of the UTF-8 sequence that `text` starts with; 0: not valid UTF-8. REQUIRES: !text.empty().
[[nodiscard]] std::size_t utf8_length(std::string_view text) noexcept;

// The first `limit_bytes` of `text`, ending before a character that would be cut.
[[nodiscard]] std::string_view utf8_prefix(std::string_view text, std::size_t limit_bytes) noexcept;

// `text` with U+FFFD for each byte that is not UTF-8, in at most `limit_bytes`.
[[nodiscard]] std::string valid_utf8(std::string_view text, std::size_t limit_bytes);

template <class String>
void append_escaped(String& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text[0]);
    std::size_t length = 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7f) {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (const std::size_t n = utf8_length(text); n != 0) {
      out.append(text.data(), n);
      length = n;
    } else {
      out += "\xEF\xBF\xBD";
    }
    text.remove_prefix(length);
  }
}

}  // namespace sluice::wire
