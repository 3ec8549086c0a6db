// Request headers that say who a client is, or that belong to one connection: they are never passed on, whatever a list
// says.
#pragma once

#include <string_view>

namespace sluice::config {

// `name` in lower case.
[[nodiscard]] bool is_never_forwarded(std::string_view name) noexcept;

}  // namespace sluice::config
