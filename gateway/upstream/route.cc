#include "upstream/route.h"

namespace sluice::upstream {
namespace {

using NameOf = std::function<std::string_view(std::uint32_t)>;

bool names(const config::RouteOption& option, bool agent, std::string_view name) noexcept {
  switch (option.kind) {
    case config::RouteOption::Kind::kAny:
      return true;
    case config::RouteOption::Kind::kAgent:
      return agent && config::fits(option.name, name);
    case config::RouteOption::Kind::kUpstream:
      return !agent && option.name == name;
    case config::RouteOption::Kind::kTag:
      break;
  }
  return false;
}

// A place that several options of a rank name counts for the first.
Ranks::Rank make_rank(const std::vector<config::RouteOption>& options, const KnownModel& model, const NameOf& name_of) {
  Ranks::Rank rank;
  std::uint32_t up_to = 0, first = 0;
  const std::size_t count = model.places.size() + model.upstreams.size();
  for (std::uint32_t at = 0; at < count; ++at) {
    const bool agent = at < model.places.size();
    const std::string_view name = agent ? model.places[at]->name() : name_of(model.upstreams[at - model.places.size()]);
    const auto named =
        std::ranges::find_if(options, [&](const config::RouteOption& one) { return names(one, agent, name); });
    if (named == options.end()) continue;
    rank.options.push_back({at, up_to += named->weight});
    if (first == 0) first = named->weight;
    rank.weighted = rank.weighted || named->weight != first;
  }
  return rank;
}

void add_matching(std::span<const RouteRule> rules, std::string_view name, const KnownModel& model,
                  const NameOf& name_of, std::vector<Ranks>& into) {
  static const std::vector<config::RouteOption> kAll{
      {.kind = config::RouteOption::Kind::kAny, .name = {}, .weight = 1}};
  for (const RouteRule& rule : rules) {
    if (!config::fits(rule.model, name)) continue;
    Ranks& ranks = into.emplace_back();
    ranks.tenants = rule.tenants;
    ranks.fallback = rule.fallback;
    for (const auto& options : rule.ranks) ranks.ranks.push_back(make_rank(options, model, name_of));
    if (rule.ranks.empty()) ranks.ranks.push_back(make_rank(kAll, model, name_of));
    if (rule.tenants.empty()) return;  // nobody gets to a later one
  }
}

}  // namespace

std::vector<Ranks> resolve_routes(std::span<const RouteRule> rules, std::string_view name, std::string_view target,
                                  const KnownModel& model, const NameOf& name_of) {
  std::vector<Ranks> routes;
  add_matching(rules, name, model, name_of, routes);
  if (routes.empty() && target != name) add_matching(rules, target, model, name_of, routes);
  return routes;
}

}  // namespace sluice::upstream
