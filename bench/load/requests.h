// The requests of a run, made once before it: sending one is then a write of bytes that are there.
#pragma once

#include <string>
#include <vector>

#include "load/options.h"

namespace sluice::bench {

// One text per key and model, used in turn.
std::vector<std::string> prepare_requests(const Options& options);

}  // namespace sluice::bench
