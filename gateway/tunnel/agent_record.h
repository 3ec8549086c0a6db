// What all workers share about one agent and one of its models: names that never change, and atomics.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "identity/binding.h"
#include "tunnel/control.h"

namespace sluice::tunnel {

// Thread:   any.
// Lifetime: shared, because calls may still run when the agent has gone.
class Agent final {
 public:
  Agent(std::string id, std::string name, identity::Binding binding, std::size_t workers)
      : id_(std::move(id)), name_(std::move(name)), binding_(std::move(binding)), tunnels_(workers) {}

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }  // for people
  // What it may serve, and for whom; whatever it claims.
  [[nodiscard]] const identity::Binding& binding() const noexcept { return binding_; }
  // Tunnels of one worker that calls may use now.
  [[nodiscard]] std::atomic<std::uint32_t>& tunnels(std::size_t worker) noexcept { return tunnels_[worker]; }
  [[nodiscard]] std::size_t workers() const noexcept { return tunnels_.size(); }
  [[nodiscard]] bool reachable() const noexcept {
    for (const auto& count : tunnels_) {
      if (count.load(std::memory_order_relaxed) != 0) return true;
    }
    return false;
  }

  // What its model server takes of the members that a gateway adds, as the agent's last hello said.
  [[nodiscard]] bool usage_in_stream() const noexcept { return usage_in_stream_.load(std::memory_order_relaxed); }
  [[nodiscard]] CapMember cap_member() const noexcept { return cap_member_.load(std::memory_order_relaxed); }
  // Whether it takes calls of the endpoint with this number, and its model server has it.
  [[nodiscard]] bool takes(std::uint32_t endpoint) const noexcept {
    const std::uint64_t lacked = lacked_.load(std::memory_order_relaxed);
    return ((endpoints_.load(std::memory_order_relaxed) & ~lacked) >> endpoint & 1U) != 0;
  }
  // Calls that it has begun and whose answers have not, as it last said.
  void note_queue(std::int64_t calls) noexcept { queue_.store(calls, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t queue() const noexcept { return queue_.load(std::memory_order_relaxed); }
  // A bit for each endpoint that its model server has not.
  void note_lacked(std::uint64_t endpoints) noexcept { lacked_.store(endpoints, std::memory_order_relaxed); }
  // `endpoints`: a bit for each that it takes.
  void hear(const HelloAnswer& hello, std::uint64_t endpoints) noexcept {
    endpoints_.store(endpoints, std::memory_order_relaxed);
    usage_in_stream_.store(hello.usage_in_stream, std::memory_order_relaxed);
    cap_member_.store(hello.cap_member, std::memory_order_relaxed);
  }

  // One renewal of the certificate at a time, whichever tunnel sees that it is due. True: this caller does it, and the
  // next one comes `pause` later at the earliest.
  [[nodiscard]] bool begin_renewal(MonoTime now, std::chrono::seconds pause) noexcept {
    auto due = renewal_.load(std::memory_order_relaxed);
    return now.time_since_epoch() >= due && renewal_.compare_exchange_strong(due, (now + pause).time_since_epoch());
  }

 private:
  const std::string id_;
  const std::string name_;
  const identity::Binding binding_;
  std::atomic<std::uint64_t> endpoints_{0};
  std::atomic<std::uint64_t> lacked_{0};
  std::atomic<std::int64_t> queue_{0};
  std::atomic<bool> usage_in_stream_{true};
  std::atomic<CapMember> cap_member_{CapMember::kAuto};
  std::atomic<Mono::duration> renewal_{Mono::duration::zero()};
  std::vector<std::atomic<std::uint32_t>> tunnels_;
};

// Slots of one model on one agent. What the agent runs for other gateways takes from them, too.
// Thread:   any.
class AgentModel final {
 public:
  explicit AgentModel(std::string name) : name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::int64_t free_slots() const noexcept {
    return capacity_.load(std::memory_order_relaxed) - taken_.load(std::memory_order_seq_cst);
  }
  [[nodiscard]] bool take_slot() noexcept {
    std::int64_t seen = taken_.load(std::memory_order_relaxed);
    while (seen < capacity_.load(std::memory_order_relaxed)) {
      if (taken_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) return true;
    }
    return false;
  }
  // In one order with the coming of calls that wait for a slot (upstream/queue_home).
  void free_slot() noexcept { taken_.fetch_sub(1, std::memory_order_seq_cst); }
  [[nodiscard]] std::int64_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }

  // What the agent's server says of it; 0: nothing.
  void set_facts(std::int64_t created, std::uint64_t context_tokens) noexcept {
    created_.store(created, std::memory_order_relaxed);
    context_.store(context_tokens, std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t created() const noexcept { return created_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t context() const noexcept { return context_.load(std::memory_order_relaxed); }

  void set_capacity(std::int64_t slots) noexcept { capacity_.store(slots, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t capacity() const noexcept { return capacity_.load(std::memory_order_relaxed); }

 private:
  const std::string name_;
  std::atomic<std::int64_t> capacity_{0};
  std::atomic<std::int64_t> taken_{0};  // by this gateway
  std::atomic<std::int64_t> created_{0};
  std::atomic<std::uint64_t> context_{0};
};

using AgentPtr = std::shared_ptr<Agent>;
using AgentModelPtr = std::shared_ptr<AgentModel>;

}  // namespace sluice::tunnel
