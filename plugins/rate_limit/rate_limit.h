// Requests and tokens per minute and calls at once, per key, user, tenant and model. The ledger counts; this asks it.
#pragma once

#include <memory>

#include "plugins/services.h"
#include "policy/policy.h"

namespace sluice::plugins {

[[nodiscard]] std::unique_ptr<policy::Policy> make_rate_limit(const PluginServices& services);

}  // namespace sluice::plugins
