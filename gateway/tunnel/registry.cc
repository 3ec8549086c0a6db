#include "tunnel/registry.h"

#include <algorithm>

#include "tunnel/failed_call.h"
#include "tunnel/host.h"
#include "tunnel/remote_call.h"

namespace sluice::tunnel {

struct Registry::Entry {
  AgentPtr agent;
  std::string version;
  std::string boot;
  std::uint64_t sequence = 0;
  std::vector<std::uint32_t> assigned;          // tunnels by worker, those before their hello included
  std::uint32_t up = 0;                         // tunnels behind their hello
  std::map<std::string, AgentModelPtr> models;  // slots are kept while a model is away
  Health health;
};

Registry::Registry(const std::vector<net::Loop*>& loops, const RegistryOptions& options, AgentDirectory& directory,
                   observe::Log& log)
    : options_(options), directory_(directory), log_(log), listeners_(loops.size(), nullptr) {
  for (net::Loop* loop : loops) hosts_.push_back(std::make_unique<Host>(*this, *loop));
}

Registry::~Registry() = default;

// --- what workers hear -----------------------------------------------------------------------------------------------

template <class Tell>
void Registry::tell_all(const Tell& tell) {
  for (std::size_t worker = 0; worker < hosts_.size(); ++worker) {
    hosts_[worker]->loop().post([this, worker, tell] {
      if (AgentListener* listener = listeners_[worker]) tell(*listener);
    });
  }
}

void Registry::listen(unsigned worker, AgentListener& listener) {
  listeners_[worker] = &listener;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, entry] : entries_) {
    if (entry->up != 0) publish(*entry);
  }
  publish_remembered();
}

void Registry::publish(const Entry& entry) {
  std::vector<AgentModelPtr> models;
  for (const ModelHealth& model : entry.health.models) {
    if (model.state == ModelState::kReady) models.push_back(entry.models.at(model.name));
  }
  tell_all([agent = entry.agent, models = std::move(models)](AgentListener& l) { l.offered(agent, models); });
}

void Registry::withdraw(const Entry& entry) {
  tell_all([agent = entry.agent](AgentListener& l) { l.withdrawn(agent); });
}

void Registry::publish_remembered() {
  std::set<std::string> names;
  for (const auto& [id, models] : remembered_) names.insert(models.begin(), models.end());
  tell_all([names = std::move(names)](AgentListener& l) { l.remembered(names); });
}

// --- tunnels come and go ---------------------------------------------------------------------------------------------

void Registry::accept(unsigned worker, std::unique_ptr<net::Stream> stream) noexcept {
  SSL* const ssl = stream->ssl();
  X509* const certificate = ssl == nullptr ? nullptr : SSL_get0_peer_certificate(ssl);
  // A ticket of an API connection, resumed with the tunnel's ALPN, would come without a certificate.
  if (certificate == nullptr || SSL_session_reused(ssl) != 0 || SSL_get_verify_result(ssl) != X509_V_OK) {
    log_.warn("tunnel refused", {{"reason", "no certificate of its own"}});
    return stream->close();
  }
  const std::optional<KnownAgent> known = directory_.find(*certificate);
  if (!known) {
    log_.warn("tunnel refused", {{"reason", "certificate not known or revoked"}});
    return stream->close();
  }
  AgentPtr agent;
  std::optional<unsigned> target;
  {
    const std::lock_guard lock(mutex_);
    auto& entry = entries_[known->id];
    if (!entry) {
      entry = std::make_unique<Entry>();
      entry->agent = std::make_shared<Agent>(known->id, known->name, hosts_.size());
      entry->assigned.resize(hosts_.size());
    }
    agent = entry->agent;
    target = assign(*entry);
  }
  if (!target) {
    log_.warn("tunnel refused", {{"reason", "agent has too many tunnels"}, {"agent", agent->id()}});
    return stream->close();
  }
  Host& host = *hosts_[*target];
  if (*target == worker) return host.adopt(std::move(stream), std::move(agent));
  host.loop().post([&host, parts = stream->release(), agent = std::move(agent)]() mutable {
    host.adopt(std::make_unique<net::Stream>(host.loop(), std::move(parts)), std::move(agent));
  });
}

// The worker with fewest tunnels of the agent. Some more than agreed may be there while old ones are being replaced.
std::optional<unsigned> Registry::assign(Entry& entry) noexcept {
  std::uint32_t total = 0;
  for (const std::uint32_t count : entry.assigned) total += count;
  if (total >= 4 * options_.tunnels_per_agent) return std::nullopt;
  const auto least = std::ranges::min_element(entry.assigned);
  ++*least;
  return static_cast<unsigned>(least - entry.assigned.begin());
}

void Registry::tunnel_up(const AgentPtr& agent, unsigned worker, const HelloAnswer& hello) noexcept {
  agent->tunnels(worker).fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  Entry& entry = *entries_.at(agent->id());
  entry.version = hello.version;
  if (entry.boot != hello.boot) {
    entry.boot = hello.boot;
    entry.sequence = 0;
  }
  if (++entry.up != 1) return;
  log_.info("agent connected", {{"agent", agent->id()}, {"name", agent->name()}, {"version", hello.version}});
  if (entry.sequence != 0) publish(entry);  // the same start as before: what it served then, until it says more
}

void Registry::tunnel_down(const AgentPtr& agent, unsigned worker) noexcept {
  agent->tunnels(worker).fetch_sub(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  Entry& entry = *entries_.at(agent->id());
  if (--entry.up != 0) return;
  log_.info("agent disconnected", {{"agent", agent->id()}, {"name", agent->name()}});
  withdraw(entry);
}

void Registry::tunnel_gone(const AgentPtr& agent, unsigned worker) noexcept {
  const std::lock_guard lock(mutex_);
  --entries_.at(agent->id())->assigned[worker];
}

void Registry::health(const AgentPtr& agent, const std::string& boot, Health health) noexcept {
  const std::lock_guard lock(mutex_);
  Entry& entry = *entries_.at(agent->id());
  if (entry.boot != boot || health.sequence <= entry.sequence) return;  // overtaken by another tunnel
  const bool first = entry.sequence == 0;
  entry.sequence = health.sequence;
  bool changed = first || health.models.size() != entry.health.models.size();
  std::vector<std::string> names;
  for (std::size_t i = 0; i < health.models.size(); ++i) {
    ModelHealth& model = health.models[i];
    if (model.slots == 0) model.slots = options_.default_slots;
    names.push_back(model.name);
    auto& shared = entry.models[model.name];
    if (!shared) shared = std::make_shared<AgentModel>(model.name);
    shared->set_capacity(model.slots);
    if (changed) continue;
    const ModelHealth& before = entry.health.models[i];
    changed = before.name != model.name || before.state != model.state || before.slots != model.slots;
  }
  entry.health = std::move(health);
  if (!changed) return;
  if (entry.up != 0) publish(entry);
  auto& remembered = remembered_[agent->id()];
  if (names.empty() || remembered == names) return;
  remembered = names;
  directory_.remember(agent->id(), names);
  publish_remembered();
}

// --- calls -----------------------------------------------------------------------------------------------------------

std::unique_ptr<http::OutgoingCall> Registry::start(unsigned worker, Agent& agent, const http::OutgoingRequest& request,
                                                    net::Signal& wake) noexcept {
  if (GatewayTunnel* tunnel = hosts_[worker]->tunnel_to(agent)) return tunnel->start(request, wake);
  for (std::size_t step = 1; step < hosts_.size(); ++step) {
    Host& carrier = *hosts_[(worker + step) % hosts_.size()];
    if (agent.tunnels(carrier.loop().index()).load(std::memory_order_relaxed) == 0) continue;
    remote_calls_.fetch_add(1, std::memory_order_relaxed);
    return std::make_unique<RemoteCall>(hosts_[worker]->loop(), carrier, agent, request, wake);
  }
  wake.notify();
  return std::make_unique<FailedCall>(upstream_error(ErrorKind::kUnavailable, "agent is not connected", Retry::kYes));
}

// --- the whole -------------------------------------------------------------------------------------------------------

Task<void> Registry::close(unsigned worker) {
  listeners_[worker] = nullptr;
  return hosts_[worker]->close();
}

std::vector<AgentView> Registry::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<AgentView> views;
  for (const auto& [id, entry] : entries_) {
    AgentView view{id, entry->agent->name(), entry->version,         entry->up,
                   {}, entry->health.models, entry->health.telemetry};
    for (std::size_t worker = 0; worker < hosts_.size(); ++worker) {
      view.tunnels_by_worker.push_back(entry->agent->tunnels(worker).load(std::memory_order_relaxed));
    }
    if (entry->up == 0) {
      for (ModelHealth& model : view.models) model.state = ModelState::kUnavailable;
    }
    views.push_back(std::move(view));
  }
  return views;
}

void Registry::revoke(const std::string& agent_id) {
  {
    const std::lock_guard lock(mutex_);
    if (remembered_.erase(agent_id) != 0) publish_remembered();
  }
  for (const auto& host : hosts_) {
    host->loop().post([&host = *host, agent_id] { host.cut(agent_id); });
  }
}

void Registry::restore(const std::string& agent_id, const std::vector<std::string>& models) {
  const std::lock_guard lock(mutex_);
  remembered_[agent_id] = models;
  publish_remembered();
}

void Registry::drain() {
  for (const auto& host : hosts_) host->loop().post([&host = *host] { host.drain(); });
}

}  // namespace sluice::tunnel
