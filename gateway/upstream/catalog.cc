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

void Catalog::offer(const std::string& agent, std::vector<Offer> offers) { agents_[agent] = std::move(offers); }

void Catalog::drop_upstream(const std::string& upstream) {
  upstreams_.erase(upstream);
  expected_.erase(upstream);
}

void Catalog::drop_agent(const std::string& agent) { agents_.erase(agent); }

void Catalog::set_configured(std::set<std::string> models, std::map<std::string, std::string> aliases) {
  configured_ = std::move(models);
  aliases_ = std::move(aliases);
}

void Catalog::set_remembered(std::set<std::string> models) { remembered_ = std::move(models); }

// One joining. Names come in twice: those that were known before find their places first, so that a newcomer with many
// names displaces nobody's.
class Catalog::Join final {
 public:
  explicit Join(const Catalog& catalog) : catalog_(catalog) {
    for (const std::string& model : catalog.configured_) models_->known.try_emplace(model);
    for (const auto& [name, upstream_name] : catalog.aliases_) models_->known.try_emplace(name);
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
        if (KnownModel* known = find(model)) known->upstreams.push_back(upstream.number);
      }
    }
    for (const auto& [source, offers] : catalog_.agents_) {
      for (const auto& [model, place] : offers) {
        if (KnownModel* known = find(model)) known->places.push_back(place);
      }
    }
  }

  // An alias takes the places of the name that it stands for, whether or not that name is known by itself.
  void place_aliases() {
    for (const auto& [name, upstream_name] : catalog_.aliases_) {
      if (name == upstream_name) continue;
      KnownModel served;
      for (const auto& [source, upstream] : catalog_.upstreams_) {
        if (std::ranges::find(upstream.models, upstream_name) != upstream.models.end())
          served.upstreams.push_back(upstream.number);
      }
      for (const auto& [source, offers] : catalog_.agents_) {
        for (const auto& [model, place] : offers) {
          if (model == upstream_name) served.places.push_back(place);
        }
      }
      models_->known.find(name)->second = std::move(served);
    }
  }

  Joined finish() {
    models_->learning = !catalog_.expected_.empty();
    models_->names.reserve(models_->known.size());
    for (const auto& [name, known] : models_->known) models_->names.emplace_back(name);
    std::ranges::sort(models_->names);
    return {std::move(models_), std::move(learned_), ignored_};
  }

 private:
  template <class Visit>
  void for_each_name(const Visit& visit) {
    for (const std::string& model : catalog_.remembered_) visit(model);
    for (const auto& [source, upstream] : catalog_.upstreams_) {
      for (const std::string& model : upstream.models) visit(model);
    }
    for (const auto& [source, offers] : catalog_.agents_) {
      for (const auto& [model, place] : offers) visit(model);
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
