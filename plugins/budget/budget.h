// Budgets of tokens and money: reserve at admission, extend while a stream counts, settle at the end.
#pragma once

#include <memory>

#include "plugins/services.h"
#include "policy/policy.h"

namespace sluice::plugins {

[[nodiscard]] std::unique_ptr<policy::Policy> make_budget(const PluginServices& services);

}  // namespace sluice::plugins
