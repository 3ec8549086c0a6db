// The admin API of keys.
#include <charconv>

#include "admin/fields.h"
#include "admin/routes.h"
#include "admin/text.h"
#include "config/loader.h"

namespace sluice::admin {

namespace {

constexpr std::size_t kDefaultPage = 1000;

}  // namespace

Routes::Shown Routes::create_key(const Principal&, const Request& request) {
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

Routes::Shown Routes::rotate_key(const Principal&, const Request& request) {
  constexpr std::chrono::hours kMostGrace{24 * 366};
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

Routes::Made Routes::list_keys(const Principal&, const Request& request) {
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

Routes::Made Routes::key(const Principal&, const Request& request) {
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
  if (!done.ok()) return done;
  found = backend_.store.key(*id);
  if (!found.ok()) return found.status();
  return show(*found);
}

}  // namespace sluice::admin
