// The command line's end of the admin socket: one request, which blocks until it is answered or its patience is over.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "cli/socket_path.h"

namespace sluice::cli {

struct ClientAnswer {
  unsigned status = 0;
  std::string body;  // empty where a sink took it
};

// Errors say what to do: kUnavailable: no gateway answers there; kPermissionDenied: another user's; kDataLoss: the
// answer broke off; kDeadlineExceeded: it took longer than `time`. A body goes to `sink` part by part if one is given and the status is 200; then
// `time` bounds each silence, since such an answer is as long as it is.
using Sink = std::function<void(std::string_view)>;
[[nodiscard]] absl::StatusOr<ClientAnswer> call_admin(const FoundSocket& socket, std::string_view method,
                                                      std::string_view target, const json::object* body,
                                                      std::chrono::seconds time, const Sink& sink = {});

// Escapes what may not stand in a path segment or a query value.
[[nodiscard]] std::string url_encode(std::string_view text);

}  // namespace sluice::cli
