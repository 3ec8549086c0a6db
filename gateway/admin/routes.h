// The admin API: what each method and path does. No sockets here. A new route is a row of the table in routes.cc and a
// handler in the routes_….cc of its subject.
//
//   GET    /status | /models | /metrics            POST   /reload | /drain | /resume
//   GET    /route?model=   GET /route/explain?key=&model=
//   GET    /tenants        POST /tenants           GET | PATCH | DELETE /tenants/{name or id}
//   GET    /users?tenant=  POST /users             GET | PATCH | DELETE /users/{id, or name with ?tenant=}
//   POST   /keys/{id}/rotate
//   GET    /keys?tenant=&user=&after=&limit=  POST /keys      GET | PATCH | DELETE /keys/{id}
//   GET    /budgets        PUT /budgets   DELETE /budgets     GET /explain?key=&model=
//   POST   /pairings       GET /agents    DELETE /agents/{id}
//   GET    /secrets        PUT | DELETE /secrets/{name}       POST /secrets/rotate
//   POST   /backup
//   GET    /audit?format=csv|jsonl&from=&to=&tenant=&user=&model=
//
// Bodies are JSON objects; an unknown member is an error. An error is {"error": "one line that says what to do"}.
#pragma once

#include <string>
#include <vector>

#include "admin/backend.h"
#include "admin/principal.h"
#include "admin/request.h"
#include "net/loop.h"

namespace sluice::admin {

// Thread:   control thread.
// Lifetime: the loop outlives it; no handle() is under way at destruction.
class Routes final {
 public:
  Routes(AdminBackend backend, net::Loop& loop) : backend_(backend), loop_(loop) {}
  // What `who` gets for `request`. Both outlive the call.
  [[nodiscard]] Task<Answer> handle(const Principal& who, const Request& request);

 private:
  struct Row;  // of the table in routes.cc
  // What of the store a route needs: kChange waits until no other program holds it locked, without holding up the thread.
  enum class Needs : std::uint8_t { kNothing, kStore, kChange };
  using Made = absl::StatusOr<json::value>;
  using Shown = absl::StatusOr<Answer>;  // with a secret, or of another type

  [[nodiscard]] static const Row* find(const Request& request) noexcept;
  [[nodiscard]] Answer answer_of(const Row& route, const Principal& who, const Request& request);

  // routes_gateway.cc
  Made status(const Principal& who, const Request& request);
  Made models(const Principal& who, const Request& request);
  Shown metrics(const Principal& who, const Request& request);
  Made route(const Principal& who, const Request& request);
  Made explain_route(const Principal& who, const Request& request);
  Made reload(const Principal& who, const Request& request);
  Made drain(const Principal& who, const Request& request);
  Made resume(const Principal& who, const Request& request);
  Shown backup(const Principal& who, const Request& request);
  Shown audit(const Principal& who, const Request& request);
  absl::Status check_named(const std::string& tenant, const std::string& user);
  // routes_callers.cc
  Made create_tenant(const Principal& who, const Request& request);
  Made list_tenants(const Principal& who, const Request& request);
  Made tenant(const Principal& who, const Request& request);
  Made create_user(const Principal& who, const Request& request);
  Made list_users(const Principal& who, const Request& request);
  Made user(const Principal& who, const Request& request);
  absl::Status update_limits(const Request& request, Scope scope, std::uint64_t id, const LimitSpec& now);
  // routes_keys.cc
  Shown create_key(const Principal& who, const Request& request);
  Shown rotate_key(const Principal& who, const Request& request);
  Made list_keys(const Principal& who, const Request& request);
  Made key(const Principal& who, const Request& request);
  absl::Status update_key(const Request& request, const store::KeyRecord& now);
  // routes_budgets.cc
  Made list_budgets(const Principal& who, const Request& request);
  Made budget(const Principal& who, const Request& request);
  Made explain(const Principal& who, const Request& request);
  // routes_agents.cc
  Shown create_pairing_key(const Principal& who, const Request& request);
  Made list_agents(const Principal& who, const Request& request);
  Made revoke_agent(const Principal& who, const Request& request);
  absl::StatusOr<identity::Binding> read_binding(const Request& request);
  // routes_secrets.cc
  Made list_secrets(const Principal& who, const Request& request);
  Made secret(const Principal& who, const Request& request);
  Made rotate_secrets(const Principal& who, const Request& request);

  // routes_show.cc
  [[nodiscard]] json::object show(const store::TenantRecord& tenant);
  [[nodiscard]] json::object show(const store::UserRecord& user);
  [[nodiscard]] json::object show(const store::KeyRecord& key);
  [[nodiscard]] json::object show(const BudgetStanding& budget);
  [[nodiscard]] static json::object show(const ledger::Explanation& line, WallTime now);
  void add_owner(json::object& into, const store::BudgetRecord& budget);
  void add_allowance(json::object& into, Scope scope, std::uint64_t id, const LimitSpec& limits);
  void add_binding(json::object& into, const identity::Binding& binding);

  AdminBackend backend_;
  net::Loop& loop_;
};

}  // namespace sluice::admin
