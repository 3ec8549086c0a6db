#include "dialect/call_body.h"

#include <algorithm>

namespace sluice::dialect {

std::optional<std::uint64_t> cap_sent(const CallBody& call, std::optional<std::uint64_t> clamp_output_to) noexcept {
  if (call.cap_count == 0) return clamp_output_to;
  std::uint64_t most = 0;
  for (std::size_t i = 0; i < call.cap_count; ++i) {
    const std::optional<std::uint64_t>& given = call.caps[i].value;
    if (!given && !clamp_output_to) return std::nullopt;
    constexpr std::uint64_t kNone = ~std::uint64_t{0};
    most = std::max(most, std::min(given.value_or(kNone), clamp_output_to.value_or(kNone)));
  }
  return most;
}

}  // namespace sluice::dialect
