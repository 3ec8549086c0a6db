// Which changed keys wait for a restart.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"

namespace sluice::config {

// The keys that are read at start alone and whose value differs, as "server.workers", in the order of the file.
// `running`: what the gateway was started with.
[[nodiscard]] std::vector<std::string> keys_that_wait(const Settings& running, const Settings& now);

}  // namespace sluice::config
