#include "translate/argument_scan.h"

#include <charconv>

namespace sluice::translate {

void ArgumentScan::take(std::string_view inside) noexcept {
  for (std::size_t at = 0; at < inside.size(); ++at) {
    if (inside[at] != '\\' || at + 1 == inside.size()) {
      take_byte(inside[at]);
      continue;
    }
    switch (inside[++at]) {
      case 'u': {
        unsigned code = 0;
        const std::string_view digits = inside.substr(at + 1, 4);
        (void)std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        take_byte(code < 0x80 ? static_cast<char>(code) : 'x');
        at += digits.size();
        break;
      }
      case 'n':
      case 'r':
      case 't':
        take_byte(' ');
        break;
      default:
        take_byte(inside[at]);
    }
  }
}

void ArgumentScan::take_byte(char c) noexcept {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
    return;
  }
  if (c == '"') in_string_ = true;
  if (c == '{' || c == '[') ++depth_;
  if ((c == '}' || c == ']') && depth_ != 0 && --depth_ == 0) closed_ = true;
}

}  // namespace sluice::translate
