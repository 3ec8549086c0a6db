#include "wire/folded_name.h"

namespace sluice::wire {
namespace {

// The next character of `text` with ASCII case folded, and with the two letters beyond ASCII that Unicode folds into
// it: Go's JSON decoder, which Ollama uses, matches "\u017Ftream" with "stream".
char folded(std::string_view& text) noexcept {
  constexpr std::string_view kLongS = "\xC5\xBF";
  constexpr std::string_view kKelvin = "\xE2\x84\xAA";
  if (text.starts_with(kLongS)) {
    text.remove_prefix(kLongS.size());
    return 's';
  }
  if (text.starts_with(kKelvin)) {
    text.remove_prefix(kKelvin.size());
    return 'k';
  }
  const char c = text.front();
  text.remove_prefix(1);
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

}  // namespace

bool folds_to(std::string_view text, std::string_view lower_case) noexcept {
  while (!text.empty() && !lower_case.empty()) {
    if (folded(text) != lower_case.front()) return false;
    lower_case.remove_prefix(1);
  }
  return text.empty() && lower_case.empty();
}

}  // namespace sluice::wire
