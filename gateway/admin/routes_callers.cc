// The admin API of tenants and users.
#include "admin/fields.h"
#include "admin/routes.h"

namespace sluice::admin {

absl::Status Routes::update_limits(const Request& request, Scope scope, std::uint64_t id, const LimitSpec& now) {
  Fields fields(request.body);
  const LimitSpec limits = fields.limits(now);
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  return backend_.accounts.set_limits(scope, id, limits);
}

Routes::Made Routes::create_tenant(const Principal&, const Request& request) {
  Fields fields(request.body);
  const std::string name = fields.text("name");
  const Accounts::Terms terms{.limits = fields.limits(), .budgets = fields.budgets()};
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  const auto made = backend_.accounts.create_tenant(name, terms);
  if (!made.ok()) return made.status();
  return show(*made);
}

Routes::Made Routes::list_tenants(const Principal&, const Request&) {
  std::vector<store::TenantRecord> records;
  const absl::Status read =
      backend_.store.each_tenant([&](store::TenantRecord&& one) { records.push_back(std::move(one)); });
  if (!read.ok()) return read;
  json::array all;
  for (const store::TenantRecord& record : records) all.push_back(show(record));
  return all;
}

Routes::Made Routes::tenant(const Principal&, const Request& request) {
  auto found = backend_.accounts.tenant(request.path[1]);
  if (!found.ok()) return found.status();
  absl::Status done;
  if (request.method == "DELETE")
    done = backend_.accounts.revoke(Scope::kTenant, found->id);
  else if (request.method == "PATCH")
    done = update_limits(request, Scope::kTenant, found->id, found->limits);
  if (!done.ok()) return done;
  found = backend_.store.tenant(found->id);
  if (!found.ok()) return found.status();
  return show(*found);
}

Routes::Made Routes::create_user(const Principal&, const Request& request) {
  Fields fields(request.body);
  const SubjectName name{.tenant = fields.text("tenant"), .user = fields.text("name")};
  const Missing missing = fields.flag("create") ? Missing::kCreate : Missing::kRefuse;
  const Accounts::Terms terms{.limits = fields.limits(), .budgets = fields.budgets()};
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  const auto made = backend_.accounts.create_user(name, terms, missing);
  if (!made.ok()) return made.status();
  return show(*made);
}

Routes::Made Routes::list_users(const Principal&, const Request& request) {
  std::uint64_t of_tenant = 0;
  if (const std::string name = query_of(request, "tenant"); !name.empty()) {
    const auto tenant = backend_.accounts.tenant(name);
    if (!tenant.ok()) return tenant.status();
    of_tenant = tenant->id;
  }
  std::vector<store::UserRecord> records;
  const absl::Status read =
      backend_.store.each_user(of_tenant, [&](store::UserRecord&& one) { records.push_back(std::move(one)); });
  if (!read.ok()) return read;
  json::array all;
  for (const store::UserRecord& record : records) all.push_back(show(record));
  return all;
}

Routes::Made Routes::user(const Principal&, const Request& request) {
  auto found = backend_.accounts.user({.tenant = query_of(request, "tenant"), .user = request.path[1]});
  if (!found.ok()) return found.status();
  absl::Status done;
  if (request.method == "DELETE")
    done = backend_.accounts.revoke(Scope::kUser, found->id);
  else if (request.method == "PATCH")
    done = update_limits(request, Scope::kUser, found->id, found->limits);
  if (!done.ok()) return done;
  found = backend_.store.user(found->id);
  if (!found.ok()) return found.status();
  return show(*found);
}

}  // namespace sluice::admin
