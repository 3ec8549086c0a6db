// The agents that this gateway knows: who is connected, what they serve, and how a worker reaches them.
//
// A tunnel is accepted by any worker and handed to the one that has fewest of its agent. Tunnels that come and go change
// the state here under a lock that no request ever takes. What an agent says of itself, which may be long, is read on the
// control thread alone, and what follows for the models is told there.
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "dialect/endpoint.h"
#include "http/call.h"
#include "net/stream.h"
#include "observe/log.h"
#include "tunnel/agent_record.h"
#include "tunnel/control.h"
#include "tunnel/session.h"

namespace sluice::tunnel {

class Host;

struct KnownAgent {
  std::string id;
  std::string name;
  identity::Binding binding{};
};

// Which agents may connect; implemented over identity and store.
// Thread: any; nothing waits.
class AgentDirectory {
 public:
  virtual ~AgentDirectory() = default;
  // The agent that a verified client certificate names; nothing if it is not (or no longer) one of ours.
  [[nodiscard]] virtual std::optional<KnownAgent> find(X509& certificate) const noexcept = 0;
  // Signs a new certificate (PEM chain) for the agent's CSR (PEM). `done` may be called on any thread, once.
  using Signed = std::function<void(absl::StatusOr<std::string>)>;
  virtual void renew(const std::string& agent_id, std::string csr, Signed done) noexcept = 0;
  // The models that the agent serves have changed, or are to be forgotten: kept so that they stay known after a restart.
  // Called on the control thread.
  virtual void remember(const std::string& agent_id, const std::vector<std::string>& models) noexcept = 0;
};

// Models that an agent served when it was last there.
struct Remembered {
  std::vector<std::string> models;
  std::vector<std::uint64_t> tenants;  // that it is bound to; empty: all
  WallTime seen;
  WallTime stored{};  // the registry's own: when the directory heard of them last
};

// What the control thread hears.
class AgentListener {
 public:
  virtual ~AgentListener() = default;
  // The agent serves these models from now on; replaces what it offered before.
  virtual void offered(const AgentPtr& agent, const std::vector<AgentModelPtr>& models) noexcept = 0;
  // No tunnel of the agent is left, or it has not said yet what it serves.
  virtual void withdrawn(const AgentPtr& agent) noexcept = 0;
  // Models last served by agents that may come back.
  virtual void remembered(const std::map<std::string, Remembered>& by_agent) noexcept = 0;
};

struct RegistryOptions {
  SessionOptions session;
  std::string gateway;     // id in the hello
  std::string generation;  // of this start
  std::uint32_t tunnels_per_agent = 8;
  std::chrono::milliseconds head_time{600'000};    // of a call: from the request to the head of its answer
  std::chrono::milliseconds stream_gap{600'000};   // of a call: silence inside its answer
  std::chrono::milliseconds first_token_time{0};   // of a call: to the first event of a stream; 0: not bounded apart
  std::chrono::milliseconds total_time{0};         // of a call: to the end of its answer; 0: not bounded
  std::chrono::milliseconds reconnect_cap{5'000};  // told to agents: their longest pause soon after a loss
  std::chrono::milliseconds hello_time{10'000};
  std::chrono::milliseconds health_gap{35'000};    // an agent that reports nothing for so long is cut
  std::span<const dialect::Endpoint> endpoints{};  // that agents are sent calls of; they outlive the registry
};

// What a reload may change.
struct RegistryLimits {
  std::uint32_t default_slots = 64;   // of a model whose agent does not say
  std::uint32_t most_slots = 1'024;   // of a model, whatever the agent claims
  std::uint32_t most_models = 1'000;  // of one agent; what it names beyond is ignored
};

// What the admin API shows.
struct AgentView {
  std::string id, name, version;
  std::uint32_t tunnels = 0;
  std::vector<std::uint32_t> tunnels_by_worker;
  std::vector<ModelHealth> models;   // busy: as the agent says
  std::vector<std::string> refused;  // models that it offers and is not bound to
  std::string trouble;               // of its model server, as it says
  std::vector<std::string> lacks;    // endpoints that its model server has not, by their names
  Telemetry telemetry;
};

// Thread:   any, but for what says otherwise.
// Lifetime: the loops, the directory, the log and the listener outlive it; close() on every worker before destruction,
//           and the control loop runs nothing any more.
class Registry final {
 public:
  // `loops`: of the workers.
  Registry(net::Loop& control, const std::vector<net::Loop*>& loops, const RegistryOptions& options,
           AgentDirectory& directory, observe::Log& log);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // --- one worker, on its thread ---

  // Takes an accepted connection whose ALPN is kTunnelAlpn; it may move to another worker. A connection without a live
  // certificate of its own is closed.
  void accept(unsigned worker, std::unique_ptr<net::Stream> stream) noexcept;
  // A call to the agent, through this worker's tunnel or else another worker's. Never null; retry yes: nothing was
  // sent.
  [[nodiscard]] std::unique_ptr<http::OutgoingCall> start(unsigned worker, Agent& agent,
                                                          const http::OutgoingRequest& request,
                                                          net::Signal& wake) noexcept;
  // Cuts what is left and ends the worker's tasks.
  Task<void> close(unsigned worker);

  // --- the control thread ---

  // Before anything else.
  void listen(AgentListener& listener) noexcept { listener_ = &listener; }
  void set_limits(const RegistryLimits& limits) noexcept { limits_ = limits; }
  // Cuts the agent's tunnels. The directory must already refuse it.
  void revoke(const std::string& agent_id);
  // Models that an agent served before this start.
  void restore(const std::string& agent_id, Remembered remembered);
  // The models of agents that have been away for `keep` are not known any more. To be called now and then.
  void forget(WallTime now, std::chrono::milliseconds keep);

  // --- any thread ---

  [[nodiscard]] std::vector<AgentView> list() const;
  // Asks every agent to open tunnels elsewhere and to leave.
  void drain();
  // For calls from now on, and for tunnels: each that was made by other options is replaced, the replacement first.
  void set_options(RegistryOptions options);
  [[nodiscard]] RegistryOptions options() const;
  // The bounds of calls to agents.
  [[nodiscard]] std::chrono::milliseconds head_time() const noexcept {
    return head_time_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::chrono::milliseconds stream_gap() const noexcept {
    return stream_gap_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::chrono::milliseconds first_token_time() const noexcept {
    return first_token_time_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::chrono::milliseconds total_time() const noexcept {
    return total_time_.load(std::memory_order_relaxed);
  }
  // Calls that crossed workers.
  [[nodiscard]] std::uint64_t remote_calls() const noexcept { return remote_calls_.load(std::memory_order_relaxed); }

 private:
  friend class Host;
  struct Entry;

  // What a Host reports.
  void tunnel_up(const AgentPtr& agent, unsigned worker, const HelloAnswer& hello) noexcept;
  void tunnel_down(const AgentPtr& agent, unsigned worker) noexcept;  // no call may use it any more
  void tunnel_gone(const AgentPtr& agent, unsigned worker) noexcept;  // its place is free
  // One line of an agent's endless answer, as it came.
  void health_line(const AgentPtr& agent, const std::string& boot, std::string line) noexcept;

  // On the control thread.
  void read_lines(const AgentPtr& agent) noexcept;
  void take_health(const AgentPtr& agent, const std::string& boot, Health health) noexcept;
  [[nodiscard]] Entry* entry_behind(const AgentPtr& agent, const std::string& boot, std::uint64_t sequence) noexcept;
  [[nodiscard]] std::map<std::string, AgentModelPtr> join_models(const Entry& entry, Health& health) const noexcept;
  void keep_bound(const AgentPtr& agent, Entry& entry, Health& health) noexcept;
  void note_trouble(const AgentPtr& agent, Entry& entry, const std::string& trouble) noexcept;
  void bound(const AgentPtr& agent, Entry& entry, Health& health) noexcept;
  void tell(const AgentPtr& agent) noexcept;
  void tell_remembered() noexcept;

  // REQUIRES: mutex_ is held.
  std::optional<unsigned> assign(Entry& entry) noexcept;

  net::Loop& control_;
  AgentDirectory& directory_;
  observe::Log& log_;
  std::vector<std::unique_ptr<Host>> hosts_;  // one a worker
  std::atomic<std::uint64_t> remote_calls_{0};
  std::atomic<std::chrono::milliseconds> head_time_, stream_gap_, first_token_time_, total_time_;  // of options_

  mutable std::mutex mutex_;  // never taken by a call
  HeldBytes* const held_;     // of the options at the start; a reload does not change who counts
  RegistryOptions options_;
  std::uint32_t most_per_agent_;  // tunnels_per_agent at its largest: those who have them replace them first
  std::map<std::string, std::unique_ptr<Entry>> entries_;

  // The control thread's own.
  AgentListener* listener_ = nullptr;
  RegistryLimits limits_;
  std::map<std::string, Remembered> remembered_;  // by agent id
};

}  // namespace sluice::tunnel
