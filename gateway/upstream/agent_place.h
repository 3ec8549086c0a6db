// Agents as places of one worker: one place for each model of each agent that is connected.
#pragma once

#include <memory>
#include <string>

#include "tunnel/registry.h"
#include "upstream/catalog.h"
#include "upstream/place.h"

namespace sluice::upstream {

// Thread:   owning worker; slots are counted over all workers.
// Lifetime: the registry outlives it.
class AgentPlace final : public Place {
 public:
  AgentPlace(tunnel::Registry& registry, unsigned worker, tunnel::AgentPtr agent, tunnel::AgentModelPtr model)
      : registry_(registry), worker_(worker), agent_(std::move(agent)), model_(std::move(model)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return agent_->name(); }
  [[nodiscard]] bool reachable() const noexcept override { return agent_->reachable(); }
  [[nodiscard]] std::int64_t free_slots() const noexcept override { return model_->free_slots(); }
  [[nodiscard]] bool take_slot() noexcept override { return model_->take_slot(); }
  void free_slot() noexcept override { model_->free_slot(); }
  [[nodiscard]] std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest& request,
                                                          net::Signal& wake) noexcept override {
    return registry_.start(worker_, *agent_, request, wake);
  }

 private:
  tunnel::Registry& registry_;
  unsigned worker_;
  tunnel::AgentPtr agent_;
  tunnel::AgentModelPtr model_;
};

// Keeps the worker's catalog in step with the registry.
// Thread:   owning worker only.
// Lifetime: catalog and registry outlive it; Registry::close() on the worker before destruction.
class AgentPlaces final : public tunnel::AgentListener {
 public:
  AgentPlaces(tunnel::Registry& registry, unsigned worker, Catalog& catalog)
      : registry_(registry), worker_(worker), catalog_(catalog) {
    registry_.listen(worker, *this);
  }

  void offered(const tunnel::AgentPtr& agent, const std::vector<tunnel::AgentModelPtr>& models) noexcept override;
  void withdrawn(const tunnel::AgentPtr& agent) noexcept override;
  void remembered(const std::set<std::string>& models) noexcept override;

 private:
  tunnel::Registry& registry_;
  unsigned worker_;
  Catalog& catalog_;
};

}  // namespace sluice::upstream
