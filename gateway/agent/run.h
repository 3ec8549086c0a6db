// `sluice agent run`: keeps tunnels to the gateways and forwards their calls to one model server.
#pragma once

#include <span>

#include "agent/options.h"
#include "dialect/endpoint.h"

namespace sluice::agent {

// Runs until SIGTERM or SIGINT; then every tunnel leaves and running calls end within the grace period. Prints
// what the model server serves and every change of it on standard output, "ready" once there is that and a tunnel, and
// each failure with its reason on standard error. Forwards calls of `endpoints`, and those that the options allow.
// Returns the exit code.
[[nodiscard]] int run(const RunOptions& options, std::span<const dialect::Endpoint> endpoints);

}  // namespace sluice::agent
