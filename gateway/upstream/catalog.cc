#include "upstream/catalog.h"

#include <algorithm>

#include "base/background.h"

namespace sluice::upstream {
namespace {

// Those of the models that were there before stay.
template <class Names, class NameOf>
std::vector<std::shared_ptr<Standing>> standings_of(const Names& before,
                                                    const std::vector<std::shared_ptr<Standing>>& kept,
                                                    const Names& now, const NameOf& name_of) {
  NameMap<std::shared_ptr<Standing>> by_name;
  for (std::size_t i = 0; i < before.size(); ++i) by_name.emplace(name_of(before[i]), kept[i]);
  std::vector<std::shared_ptr<Standing>> standings;
  standings.reserve(now.size());
  for (const auto& one : now) {
    const auto found = by_name.find(name_of(one));
    standings.push_back(found != by_name.end() ? found->second : std::make_shared<Standing>());
    give_way();
  }
  return standings;
}

}  // namespace

std::uint32_t Catalog::number_of(const std::string& upstream) {
  return numbers_.try_emplace(upstream, static_cast<std::uint32_t>(numbers_.size())).first->second;
}

void Catalog::expect(const std::string& upstream) {
  if (!upstreams_.contains(upstream)) expected_.insert(upstream);
}

void Catalog::list(const std::string& upstream, std::vector<std::string> models) {
  expected_.erase(upstream);
  Upstream& known = upstreams_[upstream];
  known.standings = standings_of(known.models, known.standings, models,
                                 [](const std::string& name) -> const std::string& { return name; });
  known.number = number_of(upstream);
  known.models = std::move(models);
}

void Catalog::offer(const std::string& agent, std::vector<Offer> offers, std::vector<std::uint64_t> tenants) {
  Agent& known = agents_[agent];
  known.standings = standings_of(known.offers, known.standings, offers,
                                 [](const Offer& offer) -> const std::string& { return offer.first; });
  known.offers = std::move(offers);
  known.tenants = std::move(tenants);
}

void Catalog::drop_upstream(const std::string& upstream) {
  upstreams_.erase(upstream);
  expected_.erase(upstream);
}

void Catalog::drop_agent(const std::string& agent) { agents_.erase(agent); }

void Catalog::set_configured(std::set<std::string> models, std::map<std::string, std::string> aliases) {
  configured_ = std::move(models);
  aliases_ = std::move(aliases);
}

// One joining. Names come in twice: those that were known before find their places first, so that a newcomer with many
// names displaces nobody's.
class Catalog::Join final {
 public:
  explicit Join(const Catalog& catalog) : catalog_(catalog) {
    for (const std::string& model : catalog.configured_) models_->known[model].everyone = true;
    for (const auto& [name, upstream_name] : catalog.aliases_) models_->known[name].everyone = true;
  }

  void learn_all() {
    for_each_name([this](const std::string& name) {
      if (catalog_.learned_.contains(name)) learn(name);
    });
    for_each_name([this](const std::string& name) { learn(name); });
  }

  void place_all() {
    for (const auto& [source, agent] : catalog_.agents_) {
      for (std::size_t i = 0; i < agent.offers.size(); ++i) {
        const auto& [model, place] = agent.offers[i];
        if (KnownModel* known = find(model)) {
          known->places.push_back(place);
          known->standings.push_back(agent.standings[i]);
          make_known(*known, agent.tenants);
        }
      }
    }
    for (const auto& [source, upstream] : catalog_.upstreams_) {  // behind those of agents, as their standings are
      for (std::size_t i = 0; i < upstream.models.size(); ++i) {
        if (KnownModel* known = find(upstream.models[i])) {
          known->upstreams.push_back(upstream.number);
          known->standings.push_back(upstream.standings[i]);
          known->everyone = true;
        }
      }
    }
    for (const LastServed& remembered : catalog_.remembered_) {
      for (const std::string& model : remembered.models) {
        if (KnownModel* known = find(model)) make_known(*known, remembered.tenants);
      }
    }
  }

  // An alias takes the places of the name that it stands for, whether or not that name is known by itself.
  void place_aliases() {
    for (const auto& [name, upstream_name] : catalog_.aliases_) {
      if (name == upstream_name) continue;
      KnownModel served;
      served.everyone = true;
      for (const auto& [source, agent] : catalog_.agents_) {
        for (std::size_t i = 0; i < agent.offers.size(); ++i) {
          if (agent.offers[i].first != upstream_name) continue;
          served.places.push_back(agent.offers[i].second);
          served.standings.push_back(agent.standings[i]);
        }
      }
      for (const auto& [source, upstream] : catalog_.upstreams_) {
        const auto listed = std::ranges::find(upstream.models, upstream_name);
        if (listed == upstream.models.end()) continue;
        served.upstreams.push_back(upstream.number);
        served.standings.push_back(upstream.standings[static_cast<std::size_t>(listed - upstream.models.begin())]);
      }
      models_->known.find(name)->second = std::move(served);
    }
  }

  void route_all() {
    models_->routed = !catalog_.rules_.empty();
    if (!models_->routed) return;
    std::vector<std::string_view> names(catalog_.numbers_.size());
    for (const auto& [name, number] : catalog_.numbers_) names[number] = name;
    const std::function<std::string_view(std::uint32_t)> name_of = [&](std::uint32_t number) { return names[number]; };
    for (auto& [name, model] : models_->known) {
      const auto alias = catalog_.aliases_.find(name);
      const std::string& target = alias == catalog_.aliases_.end() ? name : alias->second;
      model.routes = resolve_routes(catalog_.rules_, name, target, model, name_of);
      give_way();
    }
  }

  Joined finish() {
    models_->learning = !catalog_.expected_.empty();
    models_->sorted.reserve(models_->known.size());
    for (const Models::Entry& entry : models_->known) models_->sorted.push_back(&entry);
    std::ranges::sort(models_->sorted, {},
                      [](const Models::Entry* entry) -> const std::string& { return entry->first; });
    return {std::move(models_), std::move(learned_), ignored_};
  }

 private:
  template <class Visit>
  void for_each_name(const Visit& visit) {
    for (const LastServed& remembered : catalog_.remembered_) {
      for (const std::string& model : remembered.models) visit(model);
    }
    for (const auto& [source, upstream] : catalog_.upstreams_) {
      for (const std::string& model : upstream.models) visit(model);
    }
    for (const auto& [source, agent] : catalog_.agents_) {
      for (const auto& [model, place] : agent.offers) visit(model);
    }
  }

  void learn(const std::string& name) {
    give_way();
    if (models_->known.contains(name)) return;
    if (learned_.size() >= catalog_.most_learned_) {
      ++ignored_;
      return;
    }
    models_->known.try_emplace(name);
    learned_.push_back(name);
  }

  static void make_known(KnownModel& model, const std::vector<std::uint64_t>& tenants) {
    if (tenants.empty()) model.everyone = true;
    for (const std::uint64_t tenant : tenants) {
      if (!model.known_to(tenant)) model.tenants.push_back(tenant);
    }
  }

  KnownModel* find(const std::string& name) {
    const auto found = models_->known.find(name);
    return found == models_->known.end() ? nullptr : &found->second;
  }

  const Catalog& catalog_;
  std::unique_ptr<Models> models_ = std::make_unique<Models>();
  std::vector<std::string> learned_;
  std::size_t ignored_ = 0;
};

Catalog::Joined Catalog::join() {
  Join join(*this);
  join.learn_all();
  join.place_all();
  join.place_aliases();
  join.route_all();
  Joined joined = join.finish();
  learned_ = {joined.learned.begin(), joined.learned.end()};
  return joined;
}

std::size_t Catalog::ejected(MonoTime now) const {
  std::size_t count = 0;
  const auto add = [&](const auto& sources) {
    for (const auto& [name, source] : sources)
      count += static_cast<std::size_t>(std::ranges::count_if(source.standings, [now](const auto& standing) {
        const Breaker::Gate gate = standing->breaker.gate(now, MonoTime::max());
        return gate == Breaker::Gate::kEjected || gate == Breaker::Gate::kTrial;
      }));
  };
  add(upstreams_);
  add(agents_);
  return count;
}

}  // namespace sluice::upstream
