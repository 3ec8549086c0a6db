// The command line as a whole: help, and what is said of a command that makes no sense.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace sluice::cli {

inline constexpr int kMisuse = 2;  // exit code

// Adds `help [COMMAND]…`, which shows what `COMMAND --help` shows. To be called when all commands are there.
// Lifetime: `exit_code` outlives the parsing.
void add_help(CLI::App& app, int& exit_code);

// Parses, which runs the chosen command. Returns the exit code: what the command left in `exit_code`, 0 after help and
// version, kMisuse after a line on stderr that says what is wrong and what was probably meant.
int run(CLI::App& app, int argc, const char* const* argv, const int& exit_code);

// What is wrong with a command line that has words which no command took, and what was probably meant. `words`: what
// was typed behind the program's name.
[[nodiscard]] std::string explain_unknown(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace sluice::cli
