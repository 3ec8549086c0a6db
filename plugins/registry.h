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

// One policy: a row of the table, and nothing else, makes it known to the conf and to the chain.
struct PolicyRow {
  std::string_view name;
  std::unique_ptr<policy::Policy> (*make)(const PluginServices& services);
  const char* settings_help = "";                                            // of [policy.NAME]; one line
  std::unique_ptr<config::PolicySettings> (*settings_defaults)() = nullptr;  // null: it has no settings
};

// The table, in the order that policies should normally have.
[[nodiscard]] std::span<const PolicyRow> rows() noexcept;

// What the conf has to know of them.
[[nodiscard]] std::vector<config::KnownPolicy> known(std::span<const PolicyRow> table = rows());

// Errors: InvalidArgument that names an unknown or repeated policy and what is allowed.
[[nodiscard]] absl::StatusOr<std::unique_ptr<policy::Chain>> make_chain(std::span<const std::string> names,
                                                                        const PluginServices& services,
                                                                        std::span<const PolicyRow> table = rows());

}  // namespace sluice::plugins
