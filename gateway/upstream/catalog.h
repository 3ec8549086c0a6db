// Which models one worker knows and who serves them: what direct upstreams and agents offer, joined for the pool.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "upstream/pool.h"

namespace sluice::upstream {

// Thread:   owning worker only.
// Lifetime: the pool outlives it.
class Catalog final {
 public:
  using Offer = std::pair<std::string, std::shared_ptr<Place>>;  // model as the place calls it, and the place
  // Hears the names of all known models at each change, before the pool does.
  using Learned = std::function<void(const std::string& model)>;

  Catalog(Pool& pool, Learned learned) : pool_(pool), learned_(std::move(learned)) {}

  // `source` is being asked what it serves: until it has offered or told nothing, nobody can tell which models are
  // unknown.
  void expect(const std::string& source);
  // It could not be asked. What it offered before stays; of one that never offered, nobody knows a model.
  void told_nothing(const std::string& source);
  // Everything that `source` serves from now on; replaces what it offered before.
  void offer(const std::string& source, std::vector<Offer> offers);
  void withdraw(const std::string& source);

  // Models that are known whoever serves them, because the conf names them. `aliases`: our name → the places' name.
  void set_configured(std::set<std::string> models, std::map<std::string, std::string> aliases);
  // Models last served by an agent that may come back.
  void set_remembered(std::set<std::string> models);

 private:
  void publish();

  Pool& pool_;
  Learned learned_;
  std::map<std::string, std::vector<Offer>> offers_;
  std::set<std::string> expected_;  // sources that have not offered yet
  std::set<std::string> configured_;
  std::set<std::string> remembered_;
  std::map<std::string, std::string> aliases_;
};

}  // namespace sluice::upstream
