#include "upstream/catalog.h"

#include <algorithm>

#include "base/background.h"

namespace sluice::upstream {

std::uint32_t Catalog::number_of(const std::string& upstream) {
  return numbers_.try_emplace(upstream, static_cast<std::uint32_t>(numbers_.size())).first->second;
}

void Catalog::expect(const std::string& upstream) {
  if (!upstreams_.contains(upstream)) expected_.insert(upstream);
}

void Catalog::list(const std::string& upstream, std::vector<std::string> models) {
  expected_.erase(upstream);
  upstreams_[upstream] = {number_of(upstream), std::move(models)};
}

void Catalog::offer(const std::string& agent, std::vector<Offer> offers, std::vector<std::uint64_t> tenants) {
  agents_[agent] = {std::move(offers), std::move(tenants)};
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
    for (const auto& [source, upstream] : catalog_.upstreams_) {
      for (const std::string& model : upstream.models) {
        if (KnownModel* known = find(model)) {
          known->upstreams.push_back(upstream.number);
          known->everyone = true;
        }
      }
    }
    for (const auto& [source, agent] : catalog_.agents_) {
      for (const auto& [model, place] : agent.offers) {
        if (KnownModel* known = find(model)) {
          known->places.push_back(place);
          make_known(*known, agent.tenants);
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
      KnownModel served{.everyone = true, .tenants = {}, .places = {}, .upstreams = {}};
      for (const auto& [source, upstream] : catalog_.upstreams_) {
        if (std::ranges::find(upstream.models, upstream_name) != upstream.models.end())
          served.upstreams.push_back(upstream.number);
      }
      for (const auto& [source, agent] : catalog_.agents_) {
        for (const auto& [model, place] : agent.offers) {
          if (model == upstream_name) served.places.push_back(place);
        }
      }
      models_->known.find(name)->second = std::move(served);
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
  Joined joined = join.finish();
  learned_ = {joined.learned.begin(), joined.learned.end()};
  return joined;
}

}  // namespace sluice::upstream
