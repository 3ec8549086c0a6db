// What is wrong with [[routes]] that no value alone shows: names of upstreams, tags and models that are nowhere.
#pragma once

#include "config/reader.h"
#include "config/settings.h"

namespace sluice::config {

void check_routes(const Settings& settings, Findings& findings);

}  // namespace sluice::config
