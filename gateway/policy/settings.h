// What a policy needs to have settings of its own in the conf: [policy.NAME].
#pragma once

#include <span>
#include <string_view>

#include "config/keys.h"
#include "config/policy_table.h"

namespace sluice::policy {

using config::Keys;              // describe() visits its keys
using config::PolicySettingsOf;  // what the settings derive from

template <class T>
[[nodiscard]] std::unique_ptr<config::PolicySettings> defaults_of() {
  return std::make_unique<T>();
}

// The settings of the policy `name`, as the conf gives them; their defaults where it has none.
template <class T>
[[nodiscard]] T settings_of(std::span<const config::PolicyTable> tables, std::string_view name) {
  for (const config::PolicyTable& table : tables) {
    if (table.name() == name) return dynamic_cast<const T&>(table.values());
  }
  return {};
}

}  // namespace sluice::policy
