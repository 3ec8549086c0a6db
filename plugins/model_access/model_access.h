// A key that is scoped to some models does not learn that others exist: 404, as for a name nobody knows.
#pragma once

#include <memory>

#include "plugins/services.h"
#include "policy/policy.h"

namespace sluice::plugins {

[[nodiscard]] std::unique_ptr<policy::Policy> make_model_access(const PluginServices& services);

}  // namespace sluice::plugins
