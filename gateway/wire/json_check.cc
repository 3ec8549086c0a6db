#include "wire/json_check.h"

#include <cstddef>

namespace sluice::wire {
namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_hex(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// One walk. Each function steps over what it names, or says that it is not there.
class JsonCheck final {
 public:
  explicit JsonCheck(std::string_view text) noexcept : rest_(text) {}

  bool whole_object() noexcept {
    skip_white();
    if (rest_.empty() || rest_.front() != '{' || !value(1)) return false;
    skip_white();
    return rest_.empty();
  }

 private:
  void skip_white() noexcept {
    while (!rest_.empty() && std::string_view(" \t\r\n").find(rest_.front()) != std::string_view::npos)
      rest_.remove_prefix(1);
  }
  bool take(char c) noexcept {
    skip_white();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool word(std::string_view text) noexcept {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  // Recursion is bounded by kDeepestJson.
  bool value(unsigned depth) noexcept {
    skip_white();
    if (rest_.empty() || depth > kDeepestJson) return false;
    switch (rest_.front()) {
      case '{':
        return members(depth);
      case '[':
        return elements(depth);
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  bool members(unsigned depth) noexcept {
    rest_.remove_prefix(1);
    if (take('}')) return true;
    do {
      skip_white();
      if (!string() || !take(':') || !value(depth + 1)) return false;
    } while (take(','));
    return take('}');
  }

  bool elements(unsigned depth) noexcept {
    rest_.remove_prefix(1);
    if (take(']')) return true;
    do {
      if (!value(depth + 1)) return false;
    } while (take(','));
    return take(']');
  }

  bool string() noexcept {
    if (rest_.empty() || rest_.front() != '"') return false;
    for (std::size_t at = 1; at < rest_.size(); ++at) {
      if (rest_[at] == '"') {
        rest_.remove_prefix(at + 1);
        return true;
      }
      if (static_cast<unsigned char>(rest_[at]) < 0x20) return false;
      if (rest_[at] != '\\') continue;
      if (++at == rest_.size()) return false;
      if (rest_[at] == 'u') {
        if (rest_.size() - at < 5) return false;
        for (const std::size_t end = at + 4; at < end;) {
          if (!is_hex(rest_[++at])) return false;
        }
      } else if (std::string_view("\"\\/bfnrt").find(rest_[at]) == std::string_view::npos) {
        return false;
      }
    }
    return false;
  }

  bool digits() noexcept {
    std::size_t count = 0;
    while (count < rest_.size() && is_digit(rest_[count])) ++count;
    rest_.remove_prefix(count);
    return count != 0;
  }

  bool number() noexcept {
    (void)word("-");
    if (!word("0") && !digits()) return false;
    if (word(".") && !digits()) return false;
    if (!word("e") && !word("E")) return true;
    (void)(word("+") || word("-"));
    return digits();
  }

  std::string_view rest_;
};

}  // namespace

bool is_json_object(std::string_view text) noexcept { return JsonCheck(text).whole_object(); }

}  // namespace sluice::wire
