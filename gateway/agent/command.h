// `sluice agent …` on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <span>

#include "dialect/endpoint.h"

namespace sluice::agent {

// Adds `pair` and `run` under `agent`. `endpoints`: the table whose calls `run` forwards. The chosen one runs while the command line is parsed and sets `exit_code`.
// Commands of the same `agent` that talk to a gateway (list, revoke) are added by whoever owns them.
// Lifetime: exit_code and endpoints outlive the parsing.
void add_agent_commands(CLI::App& agent, std::span<const dialect::Endpoint> endpoints, int& exit_code);

}  // namespace sluice::agent
