// What is wrong with [[upstream]] that no value alone shows; reads their keys, and finds the proxy that each is called by.
#pragma once

#include "config/named_files.h"
#include "config/reader.h"
#include "config/settings.h"

namespace sluice::config {

void check_upstreams(Settings& settings, NamedFiles& files, Findings& findings);

}  // namespace sluice::config
