// Failures behind which a model may have generated already: [route] retry_unsafe lists those of them that are sent to
// another place all the same.
#pragma once

#include <array>
#include <string_view>

namespace sluice::config {

inline constexpr std::array<std::string_view, 6> kRetryUnsafe{"408", "500", "502", "504", "lost", "late_head"};

}  // namespace sluice::config
