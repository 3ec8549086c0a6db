// `sluice restore`: puts a backup in the place of what a gateway has, while none runs.
#pragma once

#include <span>
#include <string>

#include "config/policy_table.h"

namespace sluice::server {

// Brings the backup `file` back into the folders that the conf file names. What it replaces is set aside beside it, not
// deleted. `known_policies`: whose tables the conf file may have. Prints what was done. Returns the exit code: 0, or 1 with one line that says what to do, and nothing
// replaced.
int restore_command(const std::string& file, const std::string& conf_path,
                    std::span<const config::KnownPolicy> known_policies);

}  // namespace sluice::server
