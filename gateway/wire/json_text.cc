#include "wire/json_text.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace sluice::wire {
namespace {

constexpr std::uint32_t kReplacement = 0xFFFD;

// Four hex digits, or -1.
int hex4(std::string_view text) noexcept {
  if (text.size() < 4) return -1;
  int value = 0;
  for (const char c : text.substr(0, 4)) {
    int digit = 0;
    if (c >= '0' && c <= '9')
      digit = c - '0';
    else if (c >= 'a' && c <= 'f')
      digit = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F')
      digit = c - 'A' + 10;
    else
      return -1;
    value = value * 16 + digit;
  }
  return value;
}

std::size_t encode(std::uint32_t c, char* out) noexcept {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(static_cast<unsigned char>(value)); };
  if (c < 0x80) {
    out[0] = byte(c);
    return 1;
  }
  if (c < 0x800) {
    out[0] = byte(0xC0 | (c >> 6));
    out[1] = byte(0x80 | (c & 0x3F));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = byte(0xE0 | (c >> 12));
    out[1] = byte(0x80 | ((c >> 6) & 0x3F));
    out[2] = byte(0x80 | (c & 0x3F));
    return 3;
  }
  out[0] = byte(0xF0 | (c >> 18));
  out[1] = byte(0x80 | ((c >> 12) & 0x3F));
  out[2] = byte(0x80 | ((c >> 6) & 0x3F));
  out[3] = byte(0x80 | (c & 0x3F));
  return 4;
}

// The character behind "\u", and how many bytes of `text` (which starts behind the u) it took.
std::uint32_t unicode_escape(std::string_view text, std::size_t& used) noexcept {
  const int first = hex4(text);
  used = first < 0 ? 0 : 4;
  if (first < 0) return kReplacement;
  if (first < 0xD800 || first > 0xDFFF) return static_cast<std::uint32_t>(first);
  if (first > 0xDBFF || text.size() < 10 || text[4] != '\\' || text[5] != 'u') return kReplacement;
  const int second = hex4(text.substr(6));
  if (second < 0xDC00 || second > 0xDFFF) return kReplacement;
  used = 10;
  return 0x10000U + ((static_cast<std::uint32_t>(first) - 0xD800U) << 10) +
         (static_cast<std::uint32_t>(second) - 0xDC00U);
}

// Decodes the escape behind a backslash into `out` (at most 4 bytes); `used` counts what stood behind the backslash.
std::size_t decode_escape(std::string_view text, char* out, std::size_t& used) noexcept {
  used = 1;
  const char c = text.empty() ? '\0' : text[0];
  switch (c) {
    case 'n':
      out[0] = '\n';
      return 1;
    case 't':
      out[0] = '\t';
      return 1;
    case 'r':
      out[0] = '\r';
      return 1;
    case 'b':
      out[0] = '\b';
      return 1;
    case 'f':
      out[0] = '\f';
      return 1;
    case '"':
    case '\\':
    case '/':
      out[0] = c;
      return 1;
    case 'u': {
      std::size_t digits = 0;
      const std::uint32_t character = unicode_escape(text.substr(1), digits);
      used += digits;
      return encode(character, out);
    }
    default:
      used = text.empty() ? 0 : 1;
      return encode(kReplacement, out);
  }
}

// How many bytes at the front stand for themselves: ASCII, and no backslash.
std::size_t plain_bytes(std::string_view text) noexcept {
  const auto plain = [](char c) { return static_cast<unsigned char>(c) < 0x80 && c != '\\'; };
  return static_cast<std::size_t>(std::ranges::find_if_not(text, plain) - text.begin());
}

}  // namespace

std::size_t utf8_length(std::string_view text) noexcept {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&](std::size_t i) { return (at(i) & 0xC0U) == 0x80U; };
  const unsigned c = at(0);
  if (c < 0x80) return 1;
  if (c < 0xC2) return 0;
  if (c < 0xE0) return follows(1) ? 2 : 0;
  if (c < 0xF0) {
    if (!follows(1) || !follows(2)) return 0;
    if (c == 0xE0 && at(1) < 0xA0) return 0;  // overlong
    if (c == 0xED && at(1) > 0x9F) return 0;  // surrogate
    return 3;
  }
  if (c > 0xF4 || !follows(1) || !follows(2) || !follows(3)) return 0;
  if (c == 0xF0 && at(1) < 0x90) return 0;
  if (c == 0xF4 && at(1) > 0x8F) return 0;
  return 4;
}

std::string_view utf8_prefix(std::string_view text, std::size_t limit_bytes) noexcept {
  if (text.size() <= limit_bytes) return text;
  std::size_t end = limit_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

std::string valid_utf8(std::string_view text, std::size_t limit_bytes) {
  std::string valid;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view next = length == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(0, length);
    if (valid.size() + next.size() > limit_bytes) break;
    valid += next;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return valid;
}

std::string_view unescape(std::string_view escaped, std::span<char> into) noexcept {
  std::size_t written = 0;
  while (!escaped.empty()) {
    const std::size_t plain = plain_bytes(escaped.substr(0, into.size() - written));
    std::memcpy(into.data() + written, escaped.data(), plain);
    written += plain;
    escaped.remove_prefix(plain);
    if (escaped.empty()) break;
    char decoded[4];
    std::size_t length = 0;
    std::size_t used = 0;
    if (escaped[0] == '\\') {
      length = decode_escape(escaped.substr(1), decoded, used);
      ++used;
    } else if (used = utf8_length(escaped); used != 0) {
      length = used;
      std::memcpy(decoded, escaped.data(), length);
    } else {
      used = 1;
      length = encode(kReplacement, decoded);
    }
    if (into.size() - written < length) break;
    std::memcpy(into.data() + written, decoded, length);
    written += length;
    escaped.remove_prefix(used);
  }
  return {into.data(), written};
}

}  // namespace sluice::wire
