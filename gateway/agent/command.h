// `sluice agent …` on the command line.
#pragma once

#include <CLI/CLI.hpp>

namespace sluice::agent {

// Adds `pair` and `run` under `agent`. The chosen one runs while the command line is parsed and sets `exit_code`.
// Commands of the same `agent` that talk to a gateway (list, revoke) are added by whoever owns them.
// Lifetime: exit_code outlives the parsing.
void add_agent_commands(CLI::App& agent, int& exit_code);

}  // namespace sluice::agent
