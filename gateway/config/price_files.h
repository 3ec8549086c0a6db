// What the price files that a conf names say of its models, and of what its upstreams take.
#pragma once

#include "config/named_files.h"
#include "config/reader.h"
#include "config/settings.h"

namespace sluice::config {

// [prices] file, and the cost_file of each upstream.
void take_price_files(Settings& settings, const NamedFiles& files, Findings& findings);

}  // namespace sluice::config
