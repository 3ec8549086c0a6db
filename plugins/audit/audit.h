// One record per call, whatever became of it: numbers, names and opaque ids, never a word of a prompt or an answer.
#pragma once

#include <memory>

#include "plugins/services.h"
#include "policy/policy.h"

namespace sluice::plugins {

[[nodiscard]] std::unique_ptr<policy::Policy> make_audit(const PluginServices& services);

}  // namespace sluice::plugins
