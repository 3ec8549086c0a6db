// The command line of `sluice demo-model`.
#pragma once

#include <CLI/CLI.hpp>

namespace sluice::demo {

// Adds the subcommand to `app`. When it is chosen, its work is done by run_demo_model() and the exit code left in
// `exit_code`, which outlives the parse.
void add_demo_command(CLI::App& app, int& exit_code);

}  // namespace sluice::demo
