// Where the running gateway's admin socket is, so that a command reaches the gateway that its caller means.
//
//   1. --socket PATH
//   2. --config FILE: the socket of a gateway that runs with that file
//   3. SLUICE_SOCKET
//   4. /etc/sluice/sluice.toml, where it is there
//   5. admin.sock in the state folder that a gateway has when no conf file names one
//
// What was said on the command line beats what stands in the environment, and that beats what lies on the disk.
#pragma once

#include <absl/status/statusor.h>

#include <optional>
#include <string>

namespace sluice::cli {

// The options of a command that say where the gateway is. Nothing: not given.
struct Whereabouts {
  std::optional<std::string> socket, config;
};

struct FoundSocket {
  std::string path;
  std::string said_by;  // for people: "--socket", "/etc/sluice/sluice.toml", …
};

// kInvalidArgument: an option is empty, or the conf file does not say it. One line that says what to do.
[[nodiscard]] absl::StatusOr<FoundSocket> find_socket(const Whereabouts& told);

// The order above, as --help tells it.
[[nodiscard]] std::string socket_help();

}  // namespace sluice::cli
