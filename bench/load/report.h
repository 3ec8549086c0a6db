// The JSON that a run prints.
#pragma once

#include <string>
#include <vector>

#include "load/options.h"
#include "load/tally.h"
#include "load/watch.h"

namespace sluice::bench {

struct Window {
  double seconds = 0;
  std::vector<Watched> at_start;  // before the first connection
  std::vector<Watched> at_begin;
  std::vector<Watched> at_end;
  double own_cpu_s = 0;  // of the load generator, within the window
};

std::string report(const Options& options, const Tally& tally, const Window& window);

}  // namespace sluice::bench
