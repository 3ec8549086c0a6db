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

}  // namespace sluice
