// Which models are known and who serves them: what direct upstreams and agents offer, joined once for all workers.
//
// Joining costs as much as there are names, so it is done on the control thread, whole, and workers are handed what
// came of it. How many names are learned from others is bounded, whoever sends them.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "upstream/models.h"
#include "upstream/route.h"

namespace sluice::upstream {

// Thread:   control thread.
class Catalog final {
 public:
  using Offer = std::pair<std::string, std::shared_ptr<Place>>;  // model as the place calls it, and the place

  // Models that no conf names: at most so many are known, the earlier known ones first.
  void set_most_learned(std::size_t models) noexcept { most_learned_ = models; }

  // The number of a direct upstream, the same for the life of the process.
  [[nodiscard]] std::uint32_t number_of(const std::string& upstream);
  // `upstream` is being asked what it serves: until it has listed or told nothing, nobody can tell which models are
  // unknown.
  void expect(const std::string& upstream);
  // It could not be asked. What it listed before stays; of one that never listed, nobody knows a model.
  void told_nothing(const std::string& upstream) { expected_.erase(upstream); }
  // Everything that the direct upstream serves from now on.
  void list(const std::string& upstream, std::vector<std::string> models);
  // Everything that the agent serves from now on, for these tenants; none: for all.
  void offer(const std::string& agent, std::vector<Offer> offers, std::vector<std::uint64_t> tenants = {});
  // Nothing any more. One source of each kind may have the same name.
  void drop_upstream(const std::string& upstream);
  void drop_agent(const std::string& agent);

  // Models that are known whoever serves them, because the conf names them. `aliases`: our name → the places' name.
  void set_configured(std::set<std::string> models, std::map<std::string, std::string> aliases);
  void set_routes(std::vector<RouteRule> rules) { rules_ = std::move(rules); }
  // Models last served by agents that may come back.
  struct LastServed {
    std::vector<std::string> models;
    std::vector<std::uint64_t> tenants;  // empty: all
  };
  void set_remembered(std::vector<LastServed> of_agents) { remembered_ = std::move(of_agents); }

  struct Joined {
    std::unique_ptr<Models> models;
    std::vector<std::string> learned;  // those that no conf names
    std::size_t ignored = 0;           // names beyond most_learned
  };
  [[nodiscard]] Joined join();
  // Places that a breaker has ejected now, each counted for each of its models.
  [[nodiscard]] std::size_t ejected(MonoTime now) const;

 private:
  // As many as there are models, in their order: how the source does with each, kept by name while it serves it.
  using Standings = std::vector<std::shared_ptr<Standing>>;
  struct Upstream {
    std::uint32_t number = 0;
    std::vector<std::string> models;
    Standings standings = {};
  };
  struct Agent {
    std::vector<Offer> offers;
    std::vector<std::uint64_t> tenants;
    Standings standings = {};
  };
  class Join;

  std::size_t most_learned_ = 10'000;
  std::map<std::string, std::uint32_t> numbers_;  // of direct upstreams
  std::map<std::string, Upstream> upstreams_;
  std::map<std::string, Agent> agents_;
  std::set<std::string> expected_;  // upstreams that have not listed yet
  std::set<std::string> configured_;
  std::vector<LastServed> remembered_;
  std::map<std::string, std::string> aliases_;
  std::vector<RouteRule> rules_;
  std::set<std::string, std::less<>> learned_;  // at the last join
};

}  // namespace sluice::upstream
