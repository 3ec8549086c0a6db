// A place where a call can go: a direct upstream of the conf, or one model on one agent.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"
#include "dialect/endpoint.h"
#include "http/call.h"
#include "net/signal.h"
#include "upstream/refused_members.h"

namespace sluice::upstream {

// How long a call to a place may take before its server counts as dead.
struct CallTimes {
  std::chrono::milliseconds head{600'000};   // from the request to the head of its answer
  std::chrono::milliseconds gap{600'000};    // of silence inside the answer
  std::chrono::milliseconds first_token{0};  // from the request to the first event of a stream; 0: not bounded apart
  std::chrono::milliseconds total{0};        // from the request to the end of its answer; 0: not bounded
};

// What a place takes for the calls of one model, beside what they are charged.
struct PlaceCost {
  const Price* price = nullptr;          // of its own; null: what a call is charged
  std::optional<std::uint64_t> percent;  // of that; nothing and no price: not known
};

// Thread:   the worker that made it, or any where it says so; take_slot() and free_slot() count over all workers.
// Lifetime: shared, because an agent may leave while its last calls still run.
class Place {
 public:
  virtual ~Place() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;  // for audit records and metrics
  [[nodiscard]] virtual const char* kind() const noexcept = 0;       // "agent" or "upstream", for people
  // What the model that the gateway calls `model` is called here.
  [[nodiscard]] virtual std::string_view called(std::string_view model) const noexcept { return model; }
  // Where calls of `endpoint` go, of `model` as it is called here. `made` holds a path that is not the dialect's own.
  [[nodiscard]] virtual std::string_view path(const dialect::Endpoint& endpoint, std::string_view /*model*/,
                                              std::string& /*made*/) const {
    return endpoint.path;
  }
  // Headers of the place's own, such as what shows its key.
  [[nodiscard]] virtual std::span<const http::Header> headers() const noexcept { return {}; }
  // The key that they show; empty: none, or one that only the agent knows.
  [[nodiscard]] virtual std::string_view secret() const noexcept { return {}; }
  // Whether stream_options.include_usage may be added; old servers refuse it.
  [[nodiscard]] virtual bool asks_for_usage() const noexcept { return true; }
  // The longest prompt and answer that `model`, as this place calls it, takes together, in tokens; 0: not known.
  [[nodiscard]] virtual std::uint64_t context_length(std::string_view model) const noexcept {
    (void)model;
    return 0;
  }
  // As what a cap that we add to a chat is sent.
  [[nodiscard]] virtual CapMember cap_member() const noexcept { return CapMember::kAuto; }
  // The bounds of a call that goes there: each place has its own.
  [[nodiscard]] virtual CallTimes times() const noexcept = 0;
  // When `model` was made, as this place says, in seconds since 1970; 0: not known.
  [[nodiscard]] virtual std::int64_t created(std::string_view model) const noexcept {
    (void)model;
    return 0;
  }
  // What it takes for calls of `model` as it is called here. Valid as long as the place.
  [[nodiscard]] virtual PlaceCost cost(std::string_view /*model*/) const noexcept { return {}; }
  [[nodiscard]] virtual bool reachable() const noexcept = 0;
  // When its health check last went well; max(): it has none of its own, and a call may find out.
  [[nodiscard]] virtual MonoTime healthy_at() const noexcept { return MonoTime::max(); }
  [[nodiscard]] virtual std::int64_t slots() const noexcept = 0;  // calls at once
  // Whether calls of this tenant may go here.
  [[nodiscard]] virtual bool serves(std::uint64_t /*tenant_id*/) const noexcept { return true; }
  // Whether calls of this endpoint may: its number in the table of dialects.
  [[nodiscard]] virtual bool takes(std::uint32_t /*endpoint*/) const noexcept { return true; }
  [[nodiscard]] virtual std::int64_t free_slots() const noexcept = 0;
  // Calls that it says are under way there and not begun to be answered, other gateways' included.
  [[nodiscard]] virtual std::int64_t queued() const noexcept { return 0; }
  // Takes a slot if one is free; each one taken is freed once.
  [[nodiscard]] virtual bool take_slot() noexcept = 0;
  virtual void free_slot() noexcept = 0;
  // Starts a call; a failure to connect shows in the call's state.
  [[nodiscard]] virtual std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest& request,
                                                                  net::Signal& wake) noexcept = 0;
};

// Slots of one place, counted over all workers. Giving and counting them stand in one order with the coming of calls
// that wait for one (WaitingCalls).
class Slots final {
 public:
  explicit Slots(std::int64_t count) noexcept : count_(count), free_(count) {}
  [[nodiscard]] std::int64_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  // More or fewer from now on. With more taken than there are now, none is free until enough have been given back.
  // Thread: one at a time.
  void set_count(std::int64_t count) noexcept {
    free_.fetch_add(count - count_.exchange(count, std::memory_order_relaxed), std::memory_order_acq_rel);
  }
  [[nodiscard]] std::int64_t free() const noexcept { return free_.load(std::memory_order_seq_cst); }
  [[nodiscard]] bool take() noexcept {
    std::int64_t seen = free_.load(std::memory_order_relaxed);
    while (seen > 0) {
      if (free_.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) return true;
    }
    return false;
  }
  void give() noexcept { free_.fetch_add(1, std::memory_order_seq_cst); }

 private:
  std::atomic<std::int64_t> count_;
  std::atomic<std::int64_t> free_;
};

}  // namespace sluice::upstream
