#include "admin/routes.h"

#include <type_traits>

#include "admin/store_lock.h"

namespace sluice::admin {
namespace {

// "/keys/{}/rotate" fits /keys/key_12/rotate.
bool fits(std::string_view pattern, const std::vector<std::string>& path) noexcept {
  for (const std::string& segment : path) {
    if (!pattern.starts_with('/')) return false;
    pattern.remove_prefix(1);
    const std::string_view wanted = pattern.substr(0, pattern.find('/'));
    if (wanted != "{}" && wanted != segment) return false;
    pattern.remove_prefix(wanted.size());
  }
  return pattern.empty();
}

absl::Status no_such_route(const Request& request) {
  std::string path;
  for (const std::string& part : request.path) path += "/" + part;
  return absl::NotFoundError("the admin API has no " + request.method + " " + (path.empty() ? "/" : path));
}

}  // namespace

// One row says who may ask, what it needs of the store, and who answers. A row without a right does not compile.
struct Routes::Row {
  using MadeHandler = Made (Routes::*)(const Principal&, const Request&);
  using ShownHandler = Shown (Routes::*)(const Principal&, const Request&);

  consteval Row(std::string_view method_, std::string_view path_, Right right_, Needs needs_, MadeHandler handler)
      : method(method_), path(path_), right(right_), needs(needs_), makes(handler) {}
  consteval Row(std::string_view method_, std::string_view path_, Right right_, Needs needs_, ShownHandler handler)
      : method(method_), path(path_), right(right_), needs(needs_), shows(handler) {}

  std::string_view method, path;
  Right right;
  Needs needs;
  MadeHandler makes = nullptr;
  ShownHandler shows = nullptr;
};

const Routes::Row* Routes::find(const Request& request) noexcept {
  using enum Right;
  using enum Needs;
  static_assert(!std::is_constructible_v<Row, const char*, const char*, Needs, Row::MadeHandler>);
  static constexpr Row kRoutes[] = {
      {"GET", "/status", kWatch, kNothing, &Routes::status},
      {"GET", "/models", kWatch, kNothing, &Routes::models},
      {"GET", "/route", kWatch, kNothing, &Routes::route},
      {"GET", "/route/explain", kReadCallers, kStore, &Routes::explain_route},
      {"GET", "/metrics", kWatch, kNothing, &Routes::metrics},
      {"POST", "/reload", kOperate, kNothing, &Routes::reload},
      {"POST", "/drain", kOperate, kNothing, &Routes::drain},
      {"POST", "/resume", kOperate, kChange, &Routes::resume},
      {"POST", "/backup", kOperate, kStore, &Routes::backup},
      {"GET", "/tenants", kReadCallers, kStore, &Routes::list_tenants},
      {"POST", "/tenants", kManageCallers, kChange, &Routes::create_tenant},
      {"GET", "/tenants/{}", kReadCallers, kStore, &Routes::tenant},
      {"PATCH", "/tenants/{}", kManageCallers, kChange, &Routes::tenant},
      {"DELETE", "/tenants/{}", kManageCallers, kChange, &Routes::tenant},
      {"GET", "/users", kReadCallers, kStore, &Routes::list_users},
      {"POST", "/users", kManageCallers, kChange, &Routes::create_user},
      {"GET", "/users/{}", kReadCallers, kStore, &Routes::user},
      {"PATCH", "/users/{}", kManageCallers, kChange, &Routes::user},
      {"DELETE", "/users/{}", kManageCallers, kChange, &Routes::user},
      {"GET", "/keys", kReadCallers, kStore, &Routes::list_keys},
      {"POST", "/keys", kManageCallers, kChange, &Routes::create_key},
      {"GET", "/keys/{}", kReadCallers, kStore, &Routes::key},
      {"PATCH", "/keys/{}", kManageCallers, kChange, &Routes::key},
      {"DELETE", "/keys/{}", kManageCallers, kChange, &Routes::key},
      {"POST", "/keys/{}/rotate", kManageCallers, kChange, &Routes::rotate_key},
      {"GET", "/budgets", kReadCallers, kStore, &Routes::list_budgets},
      {"PUT", "/budgets", kManageCallers, kChange, &Routes::budget},
      {"DELETE", "/budgets", kManageCallers, kChange, &Routes::budget},
      {"GET", "/explain", kReadCallers, kStore, &Routes::explain},
      {"POST", "/pairings", kManageAgents, kChange, &Routes::create_pairing_key},
      {"GET", "/agents", kReadAgents, kStore, &Routes::list_agents},
      {"DELETE", "/agents/{}", kManageAgents, kChange, &Routes::revoke_agent},
      {"GET", "/secrets", kManageSecrets, kStore, &Routes::list_secrets},
      {"PUT", "/secrets/{}", kManageSecrets, kChange, &Routes::secret},
      {"DELETE", "/secrets/{}", kManageSecrets, kChange, &Routes::secret},
      {"POST", "/secrets/rotate", kManageSecrets, kChange, &Routes::rotate_secrets},
      {"GET", "/audit", kReadAudit, kStore, &Routes::audit},
  };
  for (const Row& route : kRoutes) {
    if (route.method == request.method && fits(route.path, request.path)) return &route;
  }
  return nullptr;
}

Task<Answer> Routes::handle(const Principal& who, const Request& request) {
  const Row* const route = find(request);
  if (route == nullptr) co_return error_answer(no_such_route(request));
  if (!who.may(route->right))
    co_return error_answer(absl::PermissionDeniedError(who.name() + " may not do this; ask an administrator"));
  if (route->needs != Needs::kNothing && !backend_.directory.is_loaded())
    co_return error_answer(
        absl::UnavailableError("the store is not loaded yet; see the gateway's log, and try again soon"));
  if (route->needs == Needs::kChange) {
    const absl::Status changeable = co_await await_change(backend_.store, loop_);
    if (!changeable.ok()) co_return error_answer(changeable);
  }
  Answer answer = answer_of(*route, who, request);
  if (!answer.later) co_return answer;
  Task<absl::StatusOr<json::object>> later = *std::move(answer.later);
  const absl::StatusOr<json::object> result = co_await std::move(later);
  co_return result.ok() ? json_answer(*result) : error_answer(result.status());
}

Answer Routes::answer_of(const Row& route, const Principal& who, const Request& request) {
  if (route.shows != nullptr) {
    Shown shown = (this->*route.shows)(who, request);
    return shown.ok() ? std::move(*shown) : error_answer(shown.status());
  }
  const Made made = (this->*route.makes)(who, request);
  return made.ok() ? json_answer(*made) : error_answer(made.status());
}

}  // namespace sluice::admin
