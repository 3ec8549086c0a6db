// Reads a conf file into Settings, or says everything that is wrong with it.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <cstdio>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace sluice::config {

// Where the conf file is when nobody says so: for the gateway and for the commands that look for it.
inline constexpr const char* kDefaultPath = "/etc/sluice/sluice.toml";

// A place in a file, from 1; line 0: the file as a whole.
struct Position {
  std::uint32_t line = 0, column = 0;
};

enum class Severity : std::uint8_t {
  kError,    // nothing is served with this
  kWarning,  // it is, and somebody should know
};

// One thing that is wrong, and what is allowed there.
struct Diagnostic {
  std::string file;
  std::uint32_t line = 0, column = 0;  // from 1; 0: the file as a whole
  std::string text;
  Severity severity = Severity::kError;
  [[nodiscard]] std::string to_string() const;  // "FILE:LINE:COLUMN: text", "FILE:LINE:COLUMN: warning: text"
};

enum class Files : std::uint8_t { kCheck, kTrust };

struct LoadOptions {
  Files files = Files::kCheck;  // whether the files named in it must be readable, and secrets are read
  std::span<const KnownPolicy> known_policies{};  // that [policies] order may name; none: not checked
};

struct LoadResult {
  Settings settings;                    // meaningful where good() only
  std::vector<Diagnostic> diagnostics;  // in the order of the file
  std::string file;
  std::map<std::string, Position> positions;  // of tables and values: "tls", "tls.key", "listener[0].address"

  // No errors; warnings may be there.
  [[nodiscard]] bool good() const noexcept;
  // What was found beyond the text of the file, at the value of `path`, or at its table where the file does not give it.
  void add(const std::string& path, std::string text, Severity severity = Severity::kError);
  // All of them, one a line.
  [[nodiscard]] std::string report() const;
};

// Relative paths in the file count from the file's folder.
[[nodiscard]] LoadResult load_file(const std::string& path, const LoadOptions& options = {});
[[nodiscard]] LoadResult load_text(std::string_view text, const std::string& file_name,
                                   const LoadOptions& options = {});

// The same for callers that want one answer: kInvalidArgument with every diagnostic, one a line.
[[nodiscard]] absl::StatusOr<Settings> load(const std::string& path, const LoadOptions& options = {});

// The admin socket of a gateway that runs with this file, for those who want to reach it: a file with other errors still
// says it, since what runs may have been started with an older one. kNotFound: there is no such file; kInvalidArgument:
// it cannot be read, or what it says of the socket is wrong.
[[nodiscard]] absl::StatusOr<std::string> admin_socket_of(const std::string& path);

// `sluice check`: prints every error and warning to `err`, and where there is no error to `out` which upstreams are called
// through which proxy, and "FILE: good". Returns the exit code.
int print_check(const LoadResult& result, std::FILE* out = stdout, std::FILE* err = stderr);

// "30s" "10ms" "15m" "2h" "30d"; "16MiB" "64KiB" "1GiB" "500B"; "tokens:1000000/month", "usd:25.50/day", "usd:100/total
// soft". Also what the admin API and the command line take. kInvalidArgument says what is allowed.
[[nodiscard]] absl::StatusOr<Duration> parse_duration(std::string_view text);
[[nodiscard]] absl::StatusOr<std::size_t> parse_size(std::string_view text);
[[nodiscard]] absl::StatusOr<BudgetSpec> parse_budget(std::string_view text);

}  // namespace sluice::config
