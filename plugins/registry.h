// The policies that exist, by the names that [policies] order gives them.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/services.h"
#include "policy/policy.h"

namespace sluice::plugins {

// Names, in the order they should normally have.
[[nodiscard]] std::vector<std::string_view> available();

// Errors: InvalidArgument that names an unknown or repeated policy and what is allowed.
[[nodiscard]] absl::StatusOr<std::unique_ptr<policy::Chain>> make_chain(std::span<const std::string> names,
                                                                        const PluginServices& services);

}  // namespace sluice::plugins
