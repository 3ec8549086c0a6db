// `sluice agent pair`: turns a one-time pairing key into a certificate of the gateway's own CA.
//
//   POST https://GATEWAY/.sluice/v1/pair  {"pairing_key": K, "csr": PEM, "name": N}
//   200  {"agent_id": ID, "certificate": PEM chain, "ca": PEM, "gateways": [URL…]}
#pragma once

#include <absl/status/status.h>

#include "agent/options.h"

namespace sluice::agent {

// Blocks until it is done. Errors say what to do; the pairing key is never in them.
[[nodiscard]] absl::Status pair(const PairOptions& options);

}  // namespace sluice::agent
