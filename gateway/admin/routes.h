// The admin API: what each method and path does. No sockets here.
//
//   GET    /status | /models | /metrics            POST   /reload | /drain | /resume
//   GET    /tenants        POST /tenants           GET | PATCH | DELETE /tenants/{name or id}
//   GET    /users?tenant=  POST /users             GET | PATCH | DELETE /users/{id, or name with ?tenant=}
//   POST   /keys/{id}/rotate
//   GET    /keys?tenant=&user=&after=&limit=  POST /keys      GET | PATCH | DELETE /keys/{id}
//   GET    /budgets        PUT /budgets   DELETE /budgets     GET /explain?key=&model=
//   POST   /pairings       GET /agents    DELETE /agents/{id}
//   POST   /backup
//   GET    /audit?format=csv|jsonl&from=&to=&tenant=&user=&model=
//
// Bodies are JSON objects; an unknown member is an error. An error is {"error": "one line that says what to do"}.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/audit_export.h"
#include "admin/backend.h"

namespace sluice::admin {

struct Request {
  std::string method;
  std::vector<std::string> path;             // decoded segments
  std::map<std::string, std::string> query;  // decoded
  json::object body;
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
// {"error": …} with the HTTP status that fits.
[[nodiscard]] Answer error_answer(const absl::Status& status);

// Thread: control thread.
class Routes final {
 public:
  explicit Routes(AdminBackend backend) : backend_(backend) {}
  [[nodiscard]] Answer handle(const Request& request);
  // The answer of what was done later.
  [[nodiscard]] static Answer finished(const absl::StatusOr<json::object>& result);

 private:
  using Made = absl::StatusOr<json::value>;
  using Shown = absl::StatusOr<Answer>;  // with a secret
  [[nodiscard]] Shown audit(const Request& request);
  [[nodiscard]] absl::Status need_store() const;
  Made dispatch(const Request& request);

  Made tenants(const Request& request);
  Made tenant(const Request& request);
  Made users(const Request& request);
  Made user(const Request& request);
  Made key(const Request& request);
  Shown create_key(const Request& request);
  absl::Status update_key(const Request& request, const store::KeyRecord& now);
  Shown rotate_key(const Request& request);
  Made list_keys(const Request& request);
  Made budgets(const Request& request);
  Made explain(const Request& request);
  Made resume();
  Shown backup(const Request& request);
  Shown create_pairing_key(const Request& request);
  absl::Status check_named(const std::string& tenant, const std::string& user);
  absl::StatusOr<identity::Binding> read_binding(const Request& request);
  void add_binding(json::object& into, const identity::Binding& binding);
  Made agents(const Request& request);

  [[nodiscard]] json::object show(const store::TenantRecord& tenant);
  [[nodiscard]] json::object show(const store::UserRecord& user);
  [[nodiscard]] json::object show(const store::KeyRecord& key);
  [[nodiscard]] json::object show(const BudgetStanding& budget);
  [[nodiscard]] static json::object show(const ledger::Explanation& line, WallTime now);
  void add_owner(json::object& into, const store::BudgetRecord& budget);
  void add_allowance(json::object& into, Scope scope, std::uint64_t id, const LimitSpec& limits);
  absl::Status update_limits(const Request& request, Scope scope, std::uint64_t id, const LimitSpec& now);

  AdminBackend backend_;
};

}  // namespace sluice::admin
