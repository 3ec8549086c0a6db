#include "base/text.h"

namespace sluice {

std::optional<std::string_view> percent_decode(std::string_view text, std::span<char> into) noexcept {
  std::size_t written = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return std::nullopt;
      const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (written == into.size()) return std::nullopt;
    into[written++] = c;
  }
  return std::string_view(into.data(), written);
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded(text.size(), '\0');
  const auto view = percent_decode(text, decoded);
  if (!view) return std::nullopt;
  decoded.resize(view->size());
  return decoded;
}

void append_percent_encoded(std::string& into, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kUnreserved = "-._~";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool alphanumeric = (c >= '0' && c <= '9') || (lower_case(c) >= 'a' && lower_case(c) <= 'z');
    if (alphanumeric || kUnreserved.find(c) != std::string_view::npos) {
      into += c;
    } else {
      into += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
}

}  // namespace sluice
