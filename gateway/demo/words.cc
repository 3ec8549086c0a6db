#include "demo/words.h"

#include <array>
#include <cstdio>

namespace sluice::demo {
namespace {

constexpr std::array<std::string_view, 64> kWords{
    " the",     " river", " carries", " light",  " over",   " stone",  " and",   " under",  " bridges", " where",
    " old",     " boats", " wait",    " for",    " wind",   " while",  " birds", " count",  " slow",    " hours",
    " between", " two",   " shores",  " of",     " quiet",  " water",  " a",     " gate",   " opens",   " when",
    " rain",    " has",   " filled",  " each",   " basin",  " evenly", " then",  " closes", " without", " sound",
    " so",      " that",  " nothing", " spills", " beyond", " what",   " was",   " given",  " every",   " drop",
    " is",      " known", " by",      " its",    " weight", " not",    " shape", " in",     " this",    " valley",
    " measure", " comes", " before",  " mercy"};

}  // namespace

std::uint64_t spread(std::uint64_t value) noexcept {
  value += 0x9E3779B97F4A7C15ULL;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9ULL;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBULL;
  return value ^ (value >> 31);
}

std::string_view word(std::uint64_t seed, std::uint64_t index) noexcept {
  const std::string_view chosen = kWords[spread(seed + index) % kWords.size()];
  return index == 0 ? chosen.substr(1) : chosen;
}

std::string words(std::uint64_t seed, std::uint64_t count) {
  std::string text;
  for (std::uint64_t i = 0; i < count; ++i) text += word(seed, i);
  return text;
}

void append_escaped(std::string& into, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      into += '\\';
      into += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      into += escaped;
    } else {
      into += c;
    }
  }
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto at = [&](std::size_t k) { return k < bytes.size() ? static_cast<unsigned char>(bytes[k]) : 0U; };
    const unsigned group = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    text += kDigits[group >> 18];
    text += kDigits[group >> 12 & 63];
    text += i + 1 < bytes.size() ? kDigits[group >> 6 & 63] : '=';
    text += i + 2 < bytes.size() ? kDigits[group & 63] : '=';
  }
  return text;
}

}  // namespace sluice::demo
