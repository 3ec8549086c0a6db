#include "admin/routes.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "admin/fields.h"
#include "admin/text.h"
#include "base/text.h"
#include "config/loader.h"

namespace sluice::admin {
namespace {

constexpr std::size_t kDefaultPage = 1000;

std::string query_of(const Request& request, const std::string& name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? std::string() : found->second;
}

absl::Status no_such_route(const Request& request) {
  std::string path;
  for (const std::string& part : request.path) path += "/" + part;
  return absl::NotFoundError("the admin API has no " + request.method + " " + (path.empty() ? "/" : path));
}

Answer json_answer(const json::value& value) {
  return {.status = 200,
          .content_type = "application/json",
          .body = json::serialize(value) + "\n",
          .secret = {},
          .more = {}};
}

absl::StatusOr<std::uint64_t> key_id(const std::string& text) {
  if (const auto id = parse_id(Scope::kKey, text)) return *id;
  return absl::InvalidArgumentError("keys are named by their id, such as key_12; see: sluice key list");
}

// Calls `visit` with each part; stops and says no where it does.
template <class Visit>
bool split(std::string_view text, char at, Visit visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(at), text.size());
    if (!visit(text.substr(0, end))) return false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

}  // namespace

std::optional<Request> parse_target(std::string_view method, std::string_view target) {
  Request request{.method = std::string(method), .path = {}, .query = {}, .body = {}};
  const std::size_t mark = target.find('?');
  if (!target.starts_with('/')) return std::nullopt;
  const std::string_view path = target.substr(1, mark == std::string_view::npos ? mark : mark - 1);
  const bool path_good = split(path, '/', [&](std::string_view part) {
    auto plain = percent_decode(part);
    if (plain) request.path.push_back(std::move(*plain));
    return plain.has_value();
  });
  const std::string_view query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  const bool query_good = split(query, '&', [&](std::string_view part) {
    const std::size_t equals = std::min(part.find('='), part.size());
    auto name = percent_decode(part.substr(0, equals));
    auto value = percent_decode(part.substr(std::min(equals + 1, part.size())));
    if (name && value) request.query.insert_or_assign(std::move(*name), std::move(*value));
    return name && value;
  });
  if (!path_good || !query_good) return std::nullopt;
  return request;
}

Answer error_answer(const absl::Status& status) {
  Answer answer;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      answer.status = 400;
      break;
    case absl::StatusCode::kPermissionDenied:
      answer.status = 403;
      break;
    case absl::StatusCode::kNotFound:
      answer.status = 404;
      break;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      answer.status = 409;
      break;
    case absl::StatusCode::kUnavailable:
      answer.status = 503;
      break;
    default:
      answer.status = 500;
  }
  answer.body = json::serialize(json::object{{"error", std::string(status.message())}}) + "\n";
  return answer;
}

Answer Routes::handle(const Request& request) {
  if (request.path.size() == 1 && request.method == "GET" && request.path[0] == "metrics")
    return {.status = 200,
            .content_type = "text/plain; version=0.0.4",
            .body = backend_.gateway.metrics(),
            .secret = {},
            .more = {}};
  if (request.path.size() == 1 && request.method == "GET" && request.path[0] == "audit") {
    Shown answer = audit(request);
    return answer.ok() ? std::move(*answer) : error_answer(answer.status());
  }
  if (request.path.size() == 1 && request.method == "POST" &&
      (request.path[0] == "keys" || request.path[0] == "pairings")) {
    Shown answer = request.path[0] == "keys" ? create_key(request) : create_pairing_key(request);
    return answer.ok() ? std::move(*answer) : error_answer(answer.status());
  }
  if (request.path.size() == 1 && request.method == "POST" && request.path[0] == "backup") {
    Shown answer = backup(request);
    return answer.ok() ? std::move(*answer) : error_answer(answer.status());
  }
  if (request.path.size() == 3 && request.method == "POST" && request.path[0] == "keys" &&
      request.path[2] == "rotate") {
    Shown answer = rotate_key(request);
    return answer.ok() ? std::move(*answer) : error_answer(answer.status());
  }
  const Made made = dispatch(request);
  return made.ok() ? json_answer(*made) : error_answer(made.status());
}

absl::Status Routes::need_store() const {
  if (backend_.directory.is_loaded()) return absl::OkStatus();
  return absl::UnavailableError("the store is not loaded yet; see the gateway's log, and try again soon");
}

Routes::Made Routes::dispatch(const Request& request) {
  if (request.path.empty() || request.path.size() > 2) return no_such_route(request);
  const std::string& what = request.path[0];
  const bool one = request.path.size() == 2;
  const auto is = [&](const char* method, const char* name, bool of_one = false) {
    return request.method == method && what == name && one == of_one;
  };
  if (is("GET", "status")) {
    json::object status = backend_.gateway.status();
    status["store"] = backend_.directory.is_loaded() ? "loaded" : "not loaded";
    status["tenants"] = backend_.directory.tenants();
    status["users"] = backend_.directory.users();
    status["keys"] = backend_.directory.keys();
    return status;
  }
  if (is("GET", "models")) return backend_.gateway.models();
  if (is("POST", "reload")) {
    const auto waiting = backend_.gateway.reload();
    if (!waiting.ok()) return waiting.status();
    return json::object{{"done", what}, {"restart_needed", json::array(waiting->begin(), waiting->end())}};
  }
  if (is("POST", "drain")) {
    if (absl::Status done = backend_.gateway.drain(); !done.ok()) return done;
    return json::object{{"done", what}};
  }
  // What follows changes or shows what the store holds.
  if (absl::Status ready = need_store(); !ready.ok()) return ready;
  if (what == "tenants") return one ? tenant(request) : tenants(request);
  if (what == "users") return one ? user(request) : users(request);
  if (what == "keys" && one) return key(request);
  if (is("GET", "keys")) return list_keys(request);
  if (what == "budgets" && !one) return budgets(request);
  if (what == "agents") return agents(request);
  if (is("GET", "explain")) return explain(request);
  if (is("POST", "resume")) return resume();
  return no_such_route(request);
}

absl::Status Routes::update_limits(const Request& request, Scope scope, std::uint64_t id, const LimitSpec& now) {
  Fields fields(request.body);
  const LimitSpec limits = fields.limits(now);
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  return backend_.accounts.set_limits(scope, id, limits);
}

Routes::Made Routes::tenants(const Request& request) {
  if (request.method == "POST") {
    Fields fields(request.body);
    const std::string name = fields.text("name");
    const Accounts::Terms terms{.limits = fields.limits(), .budgets = fields.budgets()};
    if (absl::Status good = fields.finish(); !good.ok()) return good;
    const auto made = backend_.accounts.create_tenant(name, terms);
    if (!made.ok()) return made.status();
    return show(*made);
  }
  if (request.method != "GET") return no_such_route(request);
  std::vector<store::TenantRecord> records;
  const absl::Status read =
      backend_.store.each_tenant([&](store::TenantRecord&& one) { records.push_back(std::move(one)); });
  if (!read.ok()) return read;
  json::array all;
  for (const store::TenantRecord& record : records) all.push_back(show(record));
  return all;
}

Routes::Made Routes::tenant(const Request& request) {
  auto found = backend_.accounts.tenant(request.path[1]);
  if (!found.ok()) return found.status();
  absl::Status done;
  if (request.method == "DELETE")
    done = backend_.accounts.revoke(Scope::kTenant, found->id);
  else if (request.method == "PATCH")
    done = update_limits(request, Scope::kTenant, found->id, found->limits);
  else if (request.method != "GET")
    done = no_such_route(request);
  if (!done.ok()) return done;
  found = backend_.store.tenant(found->id);
  if (!found.ok()) return found.status();
  return show(*found);
}

Routes::Made Routes::users(const Request& request) {
  if (request.method == "POST") {
    Fields fields(request.body);
    const SubjectName name{.tenant = fields.text("tenant"), .user = fields.text("name")};
    const Missing missing = fields.flag("create") ? Missing::kCreate : Missing::kRefuse;
    const Accounts::Terms terms{.limits = fields.limits(), .budgets = fields.budgets()};
    if (absl::Status good = fields.finish(); !good.ok()) return good;
    const auto made = backend_.accounts.create_user(name, terms, missing);
    if (!made.ok()) return made.status();
    return show(*made);
  }
  if (request.method != "GET") return no_such_route(request);
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

Routes::Made Routes::user(const Request& request) {
  auto found = backend_.accounts.user({.tenant = query_of(request, "tenant"), .user = request.path[1]});
  if (!found.ok()) return found.status();
  absl::Status done;
  if (request.method == "DELETE")
    done = backend_.accounts.revoke(Scope::kUser, found->id);
  else if (request.method == "PATCH")
    done = update_limits(request, Scope::kUser, found->id, found->limits);
  else if (request.method != "GET")
    done = no_such_route(request);
  if (!done.ok()) return done;
  found = backend_.store.user(found->id);
  if (!found.ok()) return found.status();
  return show(*found);
}

Routes::Shown Routes::create_key(const Request& request) {
  if (absl::Status ready = need_store(); !ready.ok()) return ready;
  Fields fields(request.body);
  Accounts::NewKey key{.owner = {.tenant = fields.text("tenant"), .user = fields.text("user")},
                       .missing = fields.flag("create") ? Missing::kCreate : Missing::kRefuse,
                       .models = fields.texts("models"),
                       .expires = {},
                       .terms = {.limits = fields.limits(), .budgets = fields.budgets()},
                       .name = fields.text("name")};
  const std::string expires = fields.text("expires");
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  if (!expires.empty()) {
    const auto time = parse_time(expires, backend_.clock.wall(), Counted::kFuture);
    if (!time.ok()) return time.status();
    key.expires = *time;
  }
  auto made = backend_.accounts.create_key(key);
  if (!made.ok()) return made.status();
  Answer answer = json_answer(show(made->record));
  answer.secret = std::move(made->secret);
  return answer;
}

absl::Status Routes::update_key(const Request& request, const store::KeyRecord& now) {
  Fields fields(request.body);
  Accounts::KeyChange change;
  if (fields.has("name")) change.name = fields.text("name");
  if (fields.has("limits")) change.limits = fields.limits(now.limits);
  if (fields.has("models")) change.models = fields.texts("models");
  if (fields.has("suspended"))
    change.suspension = fields.flag("suspended") ? Accounts::Suspension::kSuspend : Accounts::Suspension::kResume;
  const std::string expires = fields.text("expires");
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  if (expires == "none" || (expires.empty() && request.body.contains("expires"))) {
    change.expires.emplace();
  } else if (!expires.empty()) {
    const auto time = parse_time(expires, backend_.clock.wall(), Counted::kFuture);
    if (!time.ok()) return time.status();
    change.expires.emplace(*time);
  }
  return backend_.accounts.update_key(now.id, change);
}

Routes::Shown Routes::rotate_key(const Request& request) {
  constexpr std::chrono::hours kMostGrace{24 * 366};
  if (absl::Status ready = need_store(); !ready.ok()) return ready;
  const auto id = key_id(request.path[1]);
  if (!id.ok()) return id.status();
  Fields fields(request.body);
  const std::string text = fields.text("grace");
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  std::chrono::milliseconds grace{0};
  if (!text.empty()) {
    const auto given = config::parse_duration(text);
    if (!given.ok() || *given > kMostGrace)
      return absl::InvalidArgumentError("'" + text + "' is no grace: give a time up to a year, such as 7d or 12h");
    grace = *given;
  }
  auto made = backend_.accounts.rotate_key(*id, grace);
  if (!made.ok()) return made.status();
  Answer answer = json_answer(show(made->record));
  answer.secret = std::move(made->secret);
  return answer;
}

Routes::Made Routes::list_keys(const Request& request) {
  store::KeyFilter filter;
  std::uint64_t after = 0;
  std::size_t limit = kDefaultPage;
  const std::string tenant = query_of(request, "tenant"), user = query_of(request, "user");
  if (!user.empty()) {
    const auto found = backend_.accounts.user({.tenant = tenant, .user = user});
    if (!found.ok()) return found.status();
    filter.user_id = found->id;
  }
  if (!tenant.empty()) {
    const auto found = backend_.accounts.tenant(tenant);
    if (!found.ok()) return found.status();
    filter.tenant_id = found->id;
  }
  if (const std::string text = query_of(request, "after"); !text.empty()) {
    const auto id = key_id(text);
    if (!id.ok()) return id.status();
    after = *id;
  }
  if (const std::string text = query_of(request, "limit"); !text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc{} || end != text.data() + text.size() || limit == 0 || limit > 10'000)
      return absl::InvalidArgumentError("limit must be 1 to 10000");
  }
  const auto records = backend_.store.list_keys(filter, after, limit);
  if (!records.ok()) return records.status();
  json::array all;
  for (const store::KeyRecord& record : *records) all.push_back(show(record));
  // With `next`: the list goes on behind it.
  json::object page{{"keys", std::move(all)}};
  if (records->size() == limit) page["next"] = format_id(Scope::kKey, records->back().id);
  return page;
}

Routes::Made Routes::key(const Request& request) {
  const auto id = key_id(request.path[1]);
  if (!id.ok()) return id.status();
  auto found = backend_.store.key(*id);
  if (absl::IsNotFound(found.status()))
    return absl::NotFoundError("no key " + request.path[1] + "; see: sluice key list");
  if (!found.ok()) return found.status();
  absl::Status done;
  if (request.method == "DELETE")
    done = backend_.accounts.revoke(Scope::kKey, *id);
  else if (request.method == "PATCH")
    done = update_key(request, *found);
  else if (request.method != "GET")
    done = no_such_route(request);
  if (!done.ok()) return done;
  found = backend_.store.key(*id);
  if (!found.ok()) return found.status();
  return show(*found);
}

Routes::Made Routes::budgets(const Request& request) {
  if (request.method == "GET") {
    const auto standings = backend_.accounts.budgets();
    if (!standings.ok()) return standings.status();
    json::array all;
    for (const BudgetStanding& standing : *standings) all.push_back(show(standing));
    return all;
  }
  if (request.method != "PUT" && request.method != "DELETE") return no_such_route(request);
  Fields fields(request.body);
  const SubjectName name{.tenant = fields.text("tenant"), .user = fields.text("user")};
  const std::string key = fields.text("key");
  store::BudgetRecord budget{
      .scope = Scope::kTenant, .subject = 0, .model = fields.text("model"), .spec = fields.budget()};
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  if (!key.empty()) {
    const auto id = key_id(key);
    if (!id.ok()) return id.status();
    budget.scope = Scope::kKey;
    budget.subject = *id;
  } else if (!name.user.empty()) {
    const auto user = backend_.accounts.user(name);
    if (!user.ok()) return user.status();
    budget.scope = budget.model.empty() ? Scope::kUser : Scope::kUserModel;
    budget.subject = user->id;
  } else if (!name.tenant.empty()) {
    const auto tenant = backend_.accounts.tenant(name.tenant);
    if (!tenant.ok()) return tenant.status();
    budget.subject = tenant->id;
  } else {
    return absl::InvalidArgumentError(
        "say whose budget: --key ID, --tenant T --user U (with --model M: on that model), or --tenant T");
  }
  if (!budget.model.empty() && budget.scope != Scope::kUserModel)
    return absl::InvalidArgumentError(
        "--model goes with a user; budgets of a model stand in the conf file: [[model]] budgets");
  const auto standing =
      request.method == "PUT" ? backend_.accounts.set_budget(budget) : backend_.accounts.remove_budget(budget);
  if (!standing.ok()) return standing.status();
  json::object shown = show(*standing);
  if (request.method == "PUT" && backend_.accounts.charges_nothing(budget))
    shown["warning"] = "nothing will be charged to it until " + (budget.model.empty() ? "a model" : budget.model) +
                       " has a price: price_prompt and price_completion of a [[model]] in the conf file";
  return shown;
}

Routes::Shown Routes::backup(const Request& request) {
  if (absl::Status ready = need_store(); !ready.ok()) return ready;
  Fields fields(request.body);
  std::string file = fields.text("file");
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  if (!file.starts_with('/')) return absl::InvalidArgumentError("file must be a path from the root on");
  Answer answer;
  answer.later.emplace(backend_.gateway.backup(std::move(file)));
  return answer;
}

Answer Routes::finished(const absl::StatusOr<json::object>& result) {
  return result.ok() ? json_answer(*result) : error_answer(result.status());
}

// Ends what a restore without its log of revocations has begun.
Routes::Made Routes::resume() {
  const auto resumed = backend_.accounts.resume_restored();
  if (!resumed.ok()) return resumed.status();
  if (const absl::Status told = backend_.agents.load(); !told.ok()) return told;
  return json::object{{"keys_resumed", resumed->keys.size()}, {"agents_resumed", resumed->agents.size()}};
}

Routes::Made Routes::explain(const Request& request) {
  const auto id = key_id(query_of(request, "key"));
  if (!id.ok()) return id.status();
  const auto lines = backend_.accounts.explain(*id, query_of(request, "model"));
  if (!lines.ok()) return lines.status();
  json::array all;
  for (const ledger::Explanation& line : *lines) all.push_back(show(line, backend_.clock.wall()));
  return all;
}

absl::StatusOr<identity::Binding> Routes::read_binding(const Request& request) {
  constexpr std::size_t kLongestName = 256;  // as an agent may say it
  Fields fields(request.body);
  identity::Binding binding{.which = identity::BoundModels::kListed, .models = fields.texts("models"), .tenants = {}};
  const bool any = fields.flag("any_model");
  const std::vector<std::string> tenants = fields.texts("tenants");
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  if (any == !binding.models.empty())
    return absl::InvalidArgumentError(
        "say what the agent may serve: --model M, once for each model, or --any-model for whatever it offers");
  if (any) binding.which = identity::BoundModels::kAny;
  for (const std::string& model : binding.models) {
    if (model.empty() || model.size() > kLongestName)
      return absl::InvalidArgumentError("a model's name has 1 to 256 bytes");
  }
  std::ranges::sort(binding.models);
  for (const std::string& name : tenants) {
    const auto tenant = backend_.accounts.tenant(name);
    if (!tenant.ok()) return tenant.status();
    if (tenant->revoked) return absl::FailedPreconditionError("tenant " + name + " is revoked; name a live one");
    binding.tenants.push_back(tenant->id);
  }
  return binding;
}

Routes::Shown Routes::create_pairing_key(const Request& request) {
  if (absl::Status ready = need_store(); !ready.ok()) return ready;
  const auto binding = read_binding(request);
  if (!binding.ok()) return binding.status();
  auto made = backend_.agents.create_pairing_key(*binding);
  if (!made.ok()) return made.status();
  json::object shown{{"expires", format_time(made->expires)}};
  add_binding(shown, *binding);
  Answer answer = json_answer(shown);
  answer.secret = std::move(made->secret);
  return answer;
}

Routes::Made Routes::agents(const Request& request) {
  if (request.path.size() == 2) {
    if (request.method != "DELETE") return no_such_route(request);
    const absl::Status done = backend_.agents.revoke(
        request.path[1], [&](const std::string& agent_id) { backend_.gateway.cut_agent(agent_id); });
    if (!done.ok()) return done;
    return json::object{{"id", request.path[1]}, {"state", "revoked"}};
  }
  if (request.method != "GET") return no_such_route(request);
  json::array all;
  for (const identity::Agent& agent : backend_.book.all()) {
    const std::string id = identity::agent_name(agent.id);
    json::object live = agent.revoked ? json::object() : backend_.gateway.agent(id);
    json::object shown{{"id", id},
                       {"name", agent.name},
                       {"state", agent.revoked     ? "revoked"
                                 : agent.suspended ? "suspended"
                                 : live.empty()    ? "away"
                                                   : "connected"},
                       {"fingerprint", agent.fingerprint},
                       {"certificate_expires", format_time(agent.expires)},
                       {"paired", format_time(agent.created)}};
    add_binding(shown, agent.binding);
    for (auto& member : live) shown.insert(member);
    all.push_back(std::move(shown));
  }
  return all;
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

Routes::Shown Routes::audit(const Request& request) {
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
  answer.more.emplace(backend_.store, std::move(filter), *format);
  return answer;
}

}  // namespace sluice::admin
