// `sluice restore`: puts a backup in the place of what a gateway has, while none runs.
#pragma once

#include <string>

namespace sluice::server {

// Brings the backup `file` back into the folders that the conf file names. What it replaces is set aside beside it, not
// deleted. Prints what was done. Returns the exit code: 0, or 1 with one line that says what to do, and nothing
// replaced.
int restore_command(const std::string& file, const std::string& conf_path);

}  // namespace sluice::server
