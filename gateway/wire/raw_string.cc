#include "wire/raw_string.h"

#include <array>

#include "base/text.h"
#include "wire/folded_name.h"
#include "wire/json_text.h"

namespace sluice::wire {

bool refers(std::string_view token) noexcept {
  const std::string_view text = trimmed(token, kJsonWhite);
  if (text.empty() || text == "null" || text == "\"\"") return false;
  return text.front() != '[' || token.data()[token.size()] != ']';
}

std::string_view plain_text(const char* raw, std::span<char> into) noexcept {
  const std::size_t most = 6 * into.size();  // each character as \uXXXX
  const RawName name = measure(raw, most);
  if (name.length >= most) return {};
  if (!name.plain) return unescape({raw, name.length}, into);
  return name.length <= into.size() ? std::string_view(raw, name.length) : std::string_view();
}

bool says(std::string_view token, std::string_view lower_case) noexcept {
  const std::string_view text = trimmed(token, kJsonWhite);
  if (text.size() < 2 || text.front() != '"') return false;
  std::array<char, kPlainTextBytes> into;
  return equals_folded(plain_text(text.data() + 1, into), lower_case);
}

}  // namespace sluice::wire
