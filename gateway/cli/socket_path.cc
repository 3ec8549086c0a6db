#include "cli/socket_path.h"

#include <cstdlib>

#include "config/loader.h"

namespace sluice::cli {
namespace {

constexpr const char* kVariable = "SLUICE_SOCKET";

absl::Status empty_option(const char* option) {
  return absl::InvalidArgumentError(std::string(option) + " is empty; give a path, or leave the option out");
}

absl::StatusOr<FoundSocket> from_conf(const std::string& file) {
  auto socket = config::admin_socket_of(file);
  if (!socket.ok())
    return absl::Status(socket.status().code(),
                        std::string(socket.status().message()) + "; say where the gateway is with --socket PATH");
  return FoundSocket{.path = *std::move(socket), .said_by = file};
}

}  // namespace

absl::StatusOr<FoundSocket> find_socket(const Whereabouts& told) {
  if (told.socket && told.socket->empty()) return empty_option("--socket");
  if (told.socket) return FoundSocket{.path = *told.socket, .said_by = "--socket"};
  if (told.config && told.config->empty()) return empty_option("--config");
  if (told.config) return from_conf(*told.config);
  // Set to nothing is not set.
  if (const char* set = std::getenv(kVariable); set != nullptr && *set != '\0')
    return FoundSocket{.path = set, .said_by = kVariable};
  auto found = from_conf(config::kDefaultPath);
  if (!absl::IsNotFound(found.status())) return found;
  return FoundSocket{.path = config::Settings().admin_socket(), .said_by = "the default, without a conf file"};
}

std::string socket_help() {
  return "Which gateway: the one at --socket; else the one that the file of --config says;\n"
         "else the one at SLUICE_SOCKET; else the one that " +
         std::string(config::kDefaultPath) + " says,\nwhere that is there; else the one at " +
         config::Settings().admin_socket() + ".";
}

}  // namespace sluice::cli
