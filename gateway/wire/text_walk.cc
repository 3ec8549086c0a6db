#include "wire/text_walk.h"

namespace sluice::wire {

bool is_base64_url(std::string_view token) noexcept {
  constexpr std::size_t kLongestMediaType = 160;
  return token.starts_with("\"data:") && token.substr(0, kLongestMediaType).find(";base64,") != std::string_view::npos;
}

}  // namespace sluice::wire
