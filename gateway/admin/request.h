// A request of the admin API as its handlers see it, and what they answer. No sockets here.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/audit_export.h"
#include "base/json.h"
#include "base/task.h"
#include "identity/secret_key.h"

namespace sluice::admin {

struct Request {
  std::string method;
  std::vector<std::string> path;             // decoded segments
  std::map<std::string, std::string> query;  // decoded
  json::object body{wiping_storage()};       // it may hold a secret
};

struct Answer {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  // A new key: goes out as the first member "key" of the object in `body`. Apart from it, since JSON's own buffers are
  // not wiped.
  identity::SecretText secret;
  std::optional<AuditExport> more;  // goes on behind `body`, part by part
  // Work that takes long: its result is the body.
  std::optional<Task<absl::StatusOr<json::object>>> later{};
};

// "/users/ada?tenant=acme" → path and query. Nothing: malformed.
[[nodiscard]] std::optional<Request> parse_target(std::string_view method, std::string_view target);
[[nodiscard]] std::string query_of(const Request& request, const std::string& name);  // empty: absent
// "key_12" → 12. kInvalidArgument: it is no such name.
[[nodiscard]] absl::StatusOr<std::uint64_t> key_id(const std::string& text);

[[nodiscard]] Answer json_answer(const json::value& value);
// {"error": …} with the HTTP status that fits.
[[nodiscard]] Answer error_answer(const absl::Status& status);

}  // namespace sluice::admin
