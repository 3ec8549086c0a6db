// Agents as places: one for each model of each agent that is connected, the same for all workers.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "tunnel/registry.h"
#include "upstream/place.h"

namespace sluice::upstream {

// Thread:   any; slots are counted over all workers.
// Lifetime: the registry outlives it.
class AgentPlace final : public Place {
 public:
  AgentPlace(tunnel::Registry& registry, tunnel::AgentPtr agent, tunnel::AgentModelPtr model)
      : registry_(registry),
        agent_(std::move(agent)),
        model_(std::move(model)),
        wire_name_(tunnel::encode_name(model_->name())),
        headers_{http::Header{tunnel::kModelHeader, wire_name_}} {}

  [[nodiscard]] std::string_view name() const noexcept override { return agent_->name(); }
  [[nodiscard]] bool asks_for_usage() const noexcept override { return agent_->usage_in_stream(); }
  [[nodiscard]] CapMember cap_member() const noexcept override { return agent_->cap_member(); }
  [[nodiscard]] const char* kind() const noexcept override { return "agent"; }
  [[nodiscard]] CallTimes times() const noexcept override {
    return {.head = registry_.head_time(),
            .gap = registry_.stream_gap(),
            .first_token = registry_.first_token_time(),
            .total = registry_.total_time()};
  }
  [[nodiscard]] std::uint64_t context_length(std::string_view) const noexcept override { return model_->context(); }
  [[nodiscard]] std::int64_t created(std::string_view) const noexcept override { return model_->created(); }
  [[nodiscard]] bool reachable() const noexcept override { return agent_->reachable(); }
  [[nodiscard]] std::int64_t slots() const noexcept override { return model_->capacity(); }
  // Says which model is meant: a server that was started anew may have another one, and answer for any name.
  [[nodiscard]] std::span<const http::Header> headers() const noexcept override { return headers_; }
  [[nodiscard]] bool serves(std::uint64_t tenant_id) const noexcept override {
    return agent_->binding().serves(tenant_id);
  }
  [[nodiscard]] bool takes(std::uint32_t endpoint) const noexcept override { return agent_->takes(endpoint); }
  [[nodiscard]] std::int64_t free_slots() const noexcept override { return model_->free_slots(); }
  [[nodiscard]] std::int64_t queued() const noexcept override { return agent_->queue(); }
  [[nodiscard]] bool take_slot() noexcept override { return model_->take_slot(); }
  void free_slot() noexcept override { model_->free_slot(); }
  // Through a tunnel of the worker that `wake` is on, where it has one.
  [[nodiscard]] std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest& request,
                                                          net::Signal& wake) noexcept override {
    return registry_.start(wake.loop().index(), *agent_, request, wake);
  }

 private:
  tunnel::Registry& registry_;
  const tunnel::AgentPtr agent_;
  const tunnel::AgentModelPtr model_;
  const std::string wire_name_;
  const std::array<http::Header, 1> headers_;
};

}  // namespace sluice::upstream
