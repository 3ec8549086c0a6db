#include "upstream/agent_place.h"

namespace sluice::upstream {
namespace {

std::string source_of(const tunnel::Agent& agent) { return "agent:" + agent.id(); }

}  // namespace

void AgentPlaces::offered(const tunnel::AgentPtr& agent, const std::vector<tunnel::AgentModelPtr>& models) noexcept {
  std::vector<Catalog::Offer> offers;
  for (const tunnel::AgentModelPtr& model : models) {
    offers.emplace_back(model->name(), std::make_shared<AgentPlace>(registry_, worker_, agent, model));
  }
  catalog_.offer(source_of(*agent), std::move(offers));
}

void AgentPlaces::withdrawn(const tunnel::AgentPtr& agent) noexcept { catalog_.withdraw(source_of(*agent)); }

void AgentPlaces::remembered(const std::set<std::string>& models) noexcept { catalog_.set_remembered(models); }

}  // namespace sluice::upstream
