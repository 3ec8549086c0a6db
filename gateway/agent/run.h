// `sluice agent run`: keeps tunnels to the gateways and forwards their calls to one model server.
#pragma once

#include "agent/options.h"

namespace sluice::agent {

// Runs until SIGTERM or SIGINT; then every tunnel leaves and running calls end within the grace period. Prints "ready"
// on standard output when the first tunnel is up. Returns the exit code.
[[nodiscard]] int run(const RunOptions& options);

}  // namespace sluice::agent
