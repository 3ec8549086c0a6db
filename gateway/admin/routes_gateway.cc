// The admin API of the gateway itself: how it is, what it does next, and its records.
#include <set>

#include "admin/fields.h"
#include "admin/routes.h"
#include "admin/text.h"

namespace sluice::admin {

Routes::Made Routes::status(const Principal&, const Request&) {
  json::object status = backend_.gateway.status();
  status["store"] = backend_.directory.is_loaded() ? "loaded" : "not loaded";
  status["tenants"] = backend_.directory.tenants();
  status["users"] = backend_.directory.users();
  status["keys"] = backend_.directory.keys();
  return status;
}

Routes::Made Routes::models(const Principal&, const Request&) { return backend_.gateway.models(); }

Routes::Made Routes::route(const Principal&, const Request& request) {
  const std::string model = query_of(request, "model");
  json::object shown = backend_.gateway.route(model);
  if (shown.empty()) return absl::NotFoundError("no model " + model + " is known; see: sluice models");
  return shown;
}

Routes::Made Routes::explain_route(const Principal&, const Request& request) {
  const auto id = key_id(query_of(request, "key"));
  if (!id.ok()) return id.status();
  const identity::Key* const key = backend_.directory.key(*id);
  if (key == nullptr) return absl::NotFoundError("no key " + format_id(Scope::kKey, *id) + "; see: sluice key list");
  return backend_.gateway.explain_route(*key, query_of(request, "model"));
}

Routes::Shown Routes::metrics(const Principal&, const Request&) {
  return Answer{.status = 200,
                .content_type = "text/plain; version=0.0.4",
                .body = backend_.gateway.metrics(),
                .secret = {},
                .more = {}};
}

Routes::Made Routes::reload(const Principal&, const Request&) {
  const auto waiting = backend_.gateway.reload();
  if (!waiting.ok()) return waiting.status();
  return json::object{{"done", "reload"}, {"restart_needed", json::array(waiting->begin(), waiting->end())}};
}

Routes::Made Routes::drain(const Principal&, const Request&) {
  if (absl::Status done = backend_.gateway.drain(); !done.ok()) return done;
  return json::object{{"done", "drain"}};
}

// Ends what a restore without its log of revocations has begun.
Routes::Made Routes::resume(const Principal&, const Request&) {
  const auto resumed = backend_.accounts.resume_restored();
  if (!resumed.ok()) return resumed.status();
  if (const absl::Status told = backend_.agents.load(); !told.ok()) return told;
  return json::object{{"keys_resumed", resumed->keys.size()}, {"agents_resumed", resumed->agents.size()}};
}

Routes::Shown Routes::backup(const Principal&, const Request& request) {
  Fields fields(request.body);
  std::string file = fields.text("file");
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  if (!file.starts_with('/')) return absl::InvalidArgumentError("file must be a path from the root on");
  Answer answer;
  answer.later.emplace(backend_.gateway.backup(std::move(file)));
  return answer;
}

// An export for somebody whom nobody knows would be empty, and seem right. Those who were revoked are known.
absl::Status Routes::check_named(const std::string& tenant, const std::string& user) {
  std::set<std::uint64_t> tenants;  // of that name or id
  const absl::Status read_tenants = backend_.store.each_tenant([&](const store::TenantRecord& one) {
    if (one.name == tenant || format_id(Scope::kTenant, one.id) == tenant) tenants.insert(one.id);
  });
  if (!read_tenants.ok()) return read_tenants;
  if (!tenant.empty() && tenants.empty())
    return absl::NotFoundError("no tenant " + tenant + "; see: sluice tenant list");
  if (user.empty()) return absl::OkStatus();
  bool known = false;
  const absl::Status read_users = backend_.store.each_user(0, [&](const store::UserRecord& one) {
    const bool named = one.name == user || format_id(Scope::kUser, one.id) == user;
    known = known || (named && (tenant.empty() || tenants.contains(one.tenant_id)));
  });
  if (!read_users.ok() || known) return read_users;
  return absl::NotFoundError("no user " + user + (tenant.empty() ? "" : " of " + tenant) + "; see: sluice user list");
}

Routes::Shown Routes::audit(const Principal&, const Request& request) {
  const auto format = parse_export_format(query_of(request, "format"));
  if (!format) return absl::InvalidArgumentError("the format must be csv or jsonl");
  store::AuditFilter filter{.from = {}, .to = {}, .tenant = {}, .user = {}, .model = query_of(request, "model")};
  const auto whose = [&](const char* name, Scope scope, std::string& by_name, std::uint64_t& by_id) {
    const std::string text = query_of(request, name);
    if (const auto id = parse_id(scope, text))
      by_id = *id;
    else
      by_name = text;
  };
  whose("tenant", Scope::kTenant, filter.tenant, filter.tenant_id);
  whose("user", Scope::kUser, filter.user, filter.user_id);
  if (absl::Status known = check_named(query_of(request, "tenant"), query_of(request, "user")); !known.ok())
    return known;
  for (const auto& [name, into] : {std::pair("from", &filter.from), std::pair("to", &filter.to)}) {
    const std::string text = query_of(request, name);
    if (text.empty()) continue;
    const auto time = parse_time(text, backend_.clock.wall(), Counted::kPast);
    if (!time.ok()) return time.status();
    *into = *time;
  }
  Answer answer{.status = 200,
                .content_type = *format == ExportFormat::kCsv ? "text/csv" : "application/x-ndjson",
                .body = {},
                .secret = {},
                .more = {}};
  answer.more.emplace(std::move(filter), *format);
  return answer;
}

}  // namespace sluice::admin
