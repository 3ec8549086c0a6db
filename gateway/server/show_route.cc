#include "server/show_route.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "config/route_text.h"
#include "server/conf.h"

namespace sluice::server {
namespace {

// The model that a name stands for by [[routes]]; empty: it stands for itself.
std::string alias_of(const config::Settings& settings, const std::string& model) {
  const auto rule = std::ranges::find_if(settings.routes, [&](const config::RouteRule& one) {
    return !one.alias.empty() && config::fits(one.model, model);
  });
  return rule == settings.routes.end() ? std::string() : rule->alias;
}

struct OfPool {
  bool known = false;
  std::vector<upstream::PlaceLine> lines;
  std::vector<std::string> fallbacks;
};

// As the first worker sees it: what is direct may stand otherwise with another one for some seconds.
OfPool ask_pool(Workers& workers, const upstream::Wanted& wanted) {
  OfPool told;
  workers.run_all([&](WorkerThread& worker) {
    if (worker.loop().index() != 0) return;
    upstream::Pool& pool = worker.worker().pool;
    told = {pool.knows(wanted), pool.explain(wanted), pool.fallbacks(wanted)};
  });
  return told;
}

// The name that the pool knows it by: an alias that names one model has an entry of its own.
std::string pool_name(const config::Settings& settings, const std::string& model) {
  const bool own =
      std::ranges::any_of(settings.routes, [&](const config::RouteRule& rule) { return rule.model == model; });
  const std::string alias = alias_of(settings, model);
  return own || alias.empty() ? model : alias;
}

std::string where(const upstream::PlaceLine& line) {
  if (line.rank == 0) return fmt::format("{} {}", line.kind, line.place);
  if (line.weight == 1) return fmt::format("rank {}: {} {}", line.rank, line.kind, line.place);
  return fmt::format("rank {}: {} {}, weight {}", line.rank, line.kind, line.place, line.weight);
}

}  // namespace

json::object show_route(Workers& workers, const config::Settings& settings, const std::string& model) {
  const std::string alias = alias_of(settings, model);
  const std::string name = pool_name(settings, model);
  json::array rules;
  for (const config::RouteRule& rule : settings.routes) {
    if (!config::fits(rule.model, model) && !config::fits(rule.model, alias)) continue;
    rules.push_back(json::object{{"model", rule.model},
                                 {"tenants", json::array(rule.tenants.begin(), rule.tenants.end())},
                                 {"places", json::array(rule.places.begin(), rule.places.end())},
                                 {"alias", rule.alias},
                                 {"fallback", json::array(rule.fallback.begin(), rule.fallback.end())}});
  }
  const OfPool told = ask_pool(workers, {.model = name, .endpoint = upstream::Wanted::kAnyEndpoint});
  if (!told.known && rules.empty()) return {};
  json::array places;
  for (const upstream::PlaceLine& line : told.lines)
    places.push_back(json::object{
        {"name", line.place}, {"kind", line.kind}, {"rank", line.rank}, {"weight", line.weight}, {"now", line.words}});
  return {{"model", model}, {"stands_for", alias}, {"routes", std::move(rules)}, {"places", std::move(places)}};
}

json::array explain_route(Workers& workers, const config::Settings& settings, const identity::Key& key, WallTime now,
                          const std::string& model) {
  json::array steps;
  const auto add = [&](std::string decision, std::string outcome) {
    steps.push_back(json::object{{"decision", std::move(decision)}, {"outcome", std::move(outcome)}});
  };
  const identity::Tenant& tenant = *key.user->tenant;
  add("key", key.live(now) ? fmt::format("is good; it is {}'s of {}", key.user->name, tenant.name)
                           : "is revoked, suspended or expired: 401");
  const std::string alias = alias_of(settings, model), name = pool_name(settings, model);
  if (!alias.empty()) add("model", fmt::format("{} stands for {}", model, alias));
  const upstream::Wanted wanted{
      .model = name, .tenant_id = tenant.id, .endpoint = upstream::Wanted::kAnyEndpoint, .tenant = tenant.name};
  const OfPool told = ask_pool(workers, wanted);
  if (!told.known) {
    add("model", fmt::format("{} is not known to {}: 404; see: sluice models", name, tenant.name));
    return steps;
  }
  add("rights",
      key.may_use(name) ? fmt::format("the key may use {}", name) : fmt::format("the key may not use {}: 404", name));
  const auto rule = std::ranges::find_if(settings.routes, [&](const config::RouteRule& one) {
    const bool says = one.alias.empty() || !one.places.empty() || !one.fallback.empty();
    const bool its = one.tenants.empty() || std::ranges::find(one.tenants, tenant.name) != one.tenants.end();
    return says && its && (config::fits(one.model, name) || config::fits(one.model, alias));
  });
  add("route", rule == settings.routes.end()
                   ? std::string("none is for it: all places are alike")
                   : fmt::format("[[routes]] model = \"{}\"{}", rule->model,
                                 rule->tenants.empty() ? "" : ", tenants = \"" + tenant.name + "\""));
  for (const upstream::PlaceLine& line : told.lines) add(where(line), line.words);
  if (told.lines.empty()) add("places", "nothing serves it now: 503 after [route] hold, if nothing comes");
  for (const std::string& other : told.fallbacks) {
    const OfPool its = ask_pool(
        workers,
        {.model = other, .tenant_id = tenant.id, .endpoint = upstream::Wanted::kAnyEndpoint, .tenant = tenant.name});
    add("fallback", fmt::format("{}, where no place above is well{}", other, its.known ? "" : "; but nobody knows it"));
    for (const upstream::PlaceLine& line : its.lines) add(fmt::format("{}, {}", other, where(line)), line.words);
  }
  return steps;
}

}  // namespace sluice::server
