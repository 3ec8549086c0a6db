#include "tunnel/registry.h"

#include <algorithm>
#include <deque>

#include "base/background.h"
#include "tunnel/failed_call.h"
#include "tunnel/host.h"
#include "tunnel/remote_call.h"
#include "tunnel/taken_endpoints.h"

namespace sluice::tunnel {

namespace {

constexpr std::chrono::seconds kTroubleGap{1};
constexpr std::size_t kMostLines = 4;          // of one agent that wait to be read; the oldest give way
constexpr std::chrono::hours kStoreAgain{24};  // while an agent is there, its models are stored anew so often

// Whether nothing has changed of what the listener hears.
bool same_offer(const std::vector<ModelHealth>& before, const std::vector<ModelHealth>& now) noexcept {
  return std::ranges::equal(before, now, [](const ModelHealth& a, const ModelHealth& b) {
    return a.name == b.name && a.state == b.state && a.slots == b.slots;
  });
}

}  // namespace

struct Registry::Entry {
  AgentPtr agent;
  std::string version;
  std::string boot;
  std::uint64_t sequence = 0;
  std::vector<std::uint32_t> assigned;  // tunnels by worker, those before their hello included
  std::uint32_t up = 0;                 // tunnels behind their hello
  // The control thread alone changes these three, holding mutex_; so it reads them without, and the others with it.
  std::map<std::string, AgentModelPtr> models;  // those named, and those that calls still run on
  Health health;
  std::vector<std::string> refused;  // models that it offers and is not bound to
  struct Line {
    std::string boot, text;
  };
  std::deque<Line> lines;
  bool reading = false;  // read_lines() is on its way
  std::string trouble;   // as the log has it
  MonoTime trouble_said{};
  std::size_t named = 0;  // models, of which those beyond the limit were ignored; 0: none was
  bool revoked = false;   // for good: what it still says is not heard
};

Registry::Registry(net::Loop& control, const std::vector<net::Loop*>& loops, const RegistryOptions& options,
                   AgentDirectory& directory, observe::Log& log)
    : control_(control),
      directory_(directory),
      log_(log),
      head_time_(options.head_time),
      stream_gap_(options.stream_gap),
      first_token_time_(options.first_token_time),
      total_time_(options.total_time),
      held_(options.session.held),
      options_(options),
      most_per_agent_(options.tunnels_per_agent) {
  for (net::Loop* loop : loops) hosts_.push_back(std::make_unique<Host>(*this, *loop));
}

Registry::~Registry() = default;

void Registry::set_options(RegistryOptions options) {
  options.session.held = held_;
  const std::lock_guard lock(mutex_);
  const bool other_tunnels = options_.session != options.session || options_.gateway != options.gateway ||
                             options_.tunnels_per_agent != options.tunnels_per_agent ||
                             options_.reconnect_cap != options.reconnect_cap;
  options_ = std::move(options);
  most_per_agent_ = std::max(most_per_agent_, options_.tunnels_per_agent);
  head_time_.store(options_.head_time, std::memory_order_relaxed);
  stream_gap_.store(options_.stream_gap, std::memory_order_relaxed);
  first_token_time_.store(options_.first_token_time, std::memory_order_relaxed);
  total_time_.store(options_.total_time, std::memory_order_relaxed);
  if (!other_tunnels) return;
  for (const auto& host : hosts_) host->loop().post([host = host.get()] { host->replace_tunnels(); });
}

RegistryOptions Registry::options() const {
  const std::lock_guard lock(mutex_);
  return options_;
}

// --- what the listener hears -----------------------------------------------------------------------------------------

// How the agent stands now, whatever has changed: changes that overtake each other do no harm.
void Registry::tell(const AgentPtr& agent) noexcept {
  if (listener_ == nullptr) return;
  const auto [entry, serves] = [&] {
    const std::lock_guard lock(mutex_);
    const Entry& found = *entries_.at(agent->id());
    return std::pair(&found, found.up != 0 && found.sequence != 0);
  }();
  if (!serves) return listener_->withdrawn(agent);
  std::vector<AgentModelPtr> models;
  for (const ModelHealth& model : entry->health.models) {
    if (model.state == ModelState::kReady) models.push_back(entry->models.at(model.name));
  }
  listener_->offered(agent, models);
}

void Registry::tell_remembered() noexcept {
  if (listener_ != nullptr) listener_->remembered(remembered_);
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
      entry->agent = std::make_shared<Agent>(known->id, known->name, known->binding, hosts_.size());
      entry->assigned.resize(hosts_.size());
    }
    agent = entry->agent;
    target = assign(*entry);
  }
  if (!target) {
    log_.warn("tunnel refused", {{"reason", "agent has too many tunnels"}, {"agent", agent->id()}});
    return stream->close();
  }
  log_.debug("tunnel taken", {{"agent", agent->id()}, {"worker", *target}});
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
  if (total >= 4 * most_per_agent_) return std::nullopt;
  const auto least = std::ranges::min_element(entry.assigned);
  ++*least;
  return static_cast<unsigned>(least - entry.assigned.begin());
}

void Registry::tunnel_up(const AgentPtr& agent, unsigned worker, const HelloAnswer& hello) noexcept {
  agent->tunnels(worker).fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  Entry& entry = *entries_.at(agent->id());
  entry.version = hello.version;
  agent->hear(hello, taken_endpoints(options_.endpoints, hello));
  if (entry.boot != hello.boot) {
    entry.boot = hello.boot;
    entry.sequence = 0;
  }
  if (++entry.up != 1) return;
  log_.info("agent connected", {{"agent", agent->id()}, {"name", agent->name()}, {"version", hello.version}});
  control_.post(
      [this, agent] { tell(agent); });  // of the same start as before: what it served then, until it says more
}

void Registry::tunnel_down(const AgentPtr& agent, unsigned worker) noexcept {
  agent->tunnels(worker).fetch_sub(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  Entry& entry = *entries_.at(agent->id());
  if (--entry.up != 0) return;
  log_.info("agent disconnected", {{"agent", agent->id()}, {"name", agent->name()}});
  control_.post([this, agent] { tell(agent); });
}

void Registry::tunnel_gone(const AgentPtr& agent, unsigned worker) noexcept {
  const std::lock_guard lock(mutex_);
  --entries_.at(agent->id())->assigned[worker];
}

// --- what agents say of themselves -----------------------------------------------------------------------------------

void Registry::health_line(const AgentPtr& agent, const std::string& boot, std::string line) noexcept {
  const std::lock_guard lock(mutex_);
  Entry& entry = *entries_.at(agent->id());
  if (entry.lines.size() == kMostLines) entry.lines.pop_front();
  entry.lines.push_back({boot, std::move(line)});
  if (std::exchange(entry.reading, true)) return;
  control_.post([this, agent] { read_lines(agent); });
}

void Registry::read_lines(const AgentPtr& agent) noexcept {
  std::deque<Entry::Line> lines;
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = *entries_.at(agent->id());
    entry.reading = false;
    lines.swap(entry.lines);
  }
  for (const Entry::Line& line : lines) {
    if (auto health = decode_health(line.text)) take_health(agent, line.boot, std::move(*health));
  }
}

// What it was not paired for is not listed and not called.
void Registry::keep_bound(const AgentPtr& agent, Entry& entry, Health& health) noexcept {
  std::vector<std::string> refused;
  std::erase_if(health.models, [&](const ModelHealth& model) {
    const bool allowed = agent->binding().allows(model.name);
    if (!allowed) refused.push_back(model.name);
    return !allowed;
  });
  if (refused == entry.refused) return;
  const std::string names = list_names(refused);
  if (!refused.empty()) {
    log_.warn("an agent offers models that it was not paired for; they are not listed",
              {{"agent", agent->id()},
               {"name", agent->name()},
               {"refused", refused.size()},
               {"models", names},
               {"kept", health.models.size()}});
  }
  const std::lock_guard lock(mutex_);
  entry.refused.swap(refused);
}

// One line for each change, and no more of them than one in kTroubleGap: the agent says what it likes.
void Registry::note_trouble(const AgentPtr& agent, Entry& entry, const std::string& trouble) noexcept {
  if (trouble == entry.trouble || Mono::now() < entry.trouble_said + kTroubleGap) return;
  entry.trouble_said = Mono::now();
  entry.trouble = trouble;
  if (trouble.empty())
    log_.info("an agent's model server is well again", {{"agent", agent->id()}, {"name", agent->name()}});
  else
    log_.warn("an agent's model server is in trouble",
              {{"agent", agent->id()}, {"name", agent->name()}, {"trouble", trouble}});
}

// What an agent names is kept within the limits, in its order.
void Registry::bound(const AgentPtr& agent, Entry& entry, Health& health) noexcept {
  const std::size_t named = health.models.size();
  if (named <= limits_.most_models) {
    entry.named = 0;
    return;
  }
  health.models.resize(limits_.most_models);
  if (std::exchange(entry.named, named) == named) return;
  log_.warn("an agent names more models than route.models_per_source; the rest is ignored",
            {{"agent", agent->id()}, {"name", agent->name()}, {"named", named}, {"kept", limits_.most_models}});
}

// Null: what a line says was overtaken by another tunnel, or by the agent's revocation.
Registry::Entry* Registry::entry_behind(const AgentPtr& agent, const std::string& boot,
                                        std::uint64_t sequence) noexcept {
  const std::lock_guard lock(mutex_);
  Entry& entry = *entries_.at(agent->id());
  return entry.boot == boot && sequence > entry.sequence && !entry.revoked ? &entry : nullptr;
}

// The models that `health` names, and those that calls still run on: a name that comes back finds the slots they hold.
std::map<std::string, AgentModelPtr> Registry::join_models(const Entry& entry, Health& health) const noexcept {
  std::map<std::string, AgentModelPtr> models;
  for (ModelHealth& model : health.models) {
    if (model.slots == 0) model.slots = limits_.default_slots;
    model.slots = std::min(model.slots, limits_.most_slots);
    auto& shared = models[model.name];
    if (const auto before = entry.models.find(model.name); before != entry.models.end()) shared = before->second;
    if (!shared) shared = std::make_shared<AgentModel>(model.name);
    shared->set_capacity(model.slots);
    shared->set_facts(static_cast<std::int64_t>(model.created), model.context_tokens);
    give_way();
  }
  for (const auto& [name, model] : entry.models) {
    if (model->taken() != 0) models.try_emplace(name, model);
  }
  return models;
}

// A line of 10,000 names takes its time and gives way to the workers meanwhile: mutex_, for which they would wait, is
// held for the swap alone.
void Registry::take_health(const AgentPtr& agent, const std::string& boot, Health health) noexcept {
  Entry* const entry = entry_behind(agent, boot, health.sequence);
  if (entry == nullptr) return;
  keep_bound(agent, *entry, health);
  note_trouble(agent, *entry, health.trouble);
  agent->note_lacked(named_endpoints(options_.endpoints, health.lacks));
  agent->note_queue(static_cast<std::int64_t>(health.telemetry.queue));
  bound(agent, *entry, health);
  std::map<std::string, AgentModelPtr> models = join_models(*entry, health);
  std::vector<std::string> names;
  for (const ModelHealth& model : health.models) names.push_back(model.name);
  const bool same = same_offer(entry->health.models, health.models);
  {
    const std::lock_guard lock(mutex_);
    if (entry->boot != boot) return;  // the agent has started anew
    const bool first = std::exchange(entry->sequence, health.sequence) == 0;
    entry->models.swap(models);
    std::swap(entry->health, health);
    if (same && !first) return;
  }
  tell(agent);
  Remembered& remembered = remembered_[agent->id()];
  if (names.empty() || remembered.models == names) return;
  const WallTime now = SystemClock().wall();
  remembered = {std::move(names), agent->binding().tenants, now, now};
  directory_.remember(agent->id(), remembered.models);
  tell_remembered();
}

// --- calls -----------------------------------------------------------------------------------------------------------

std::unique_ptr<http::OutgoingCall> Registry::start(unsigned worker, Agent& agent, const http::OutgoingRequest& request,
                                                    net::Signal& wake) noexcept {
  if (GatewayTunnel* tunnel = hosts_[worker]->tunnel_to(agent)) return tunnel->start(request, wake);
  for (std::size_t step = 1; step < hosts_.size(); ++step) {
    Host& carrier = *hosts_[(worker + step) % hosts_.size()];
    if (agent.tunnels(carrier.loop().index()).load(std::memory_order_relaxed) == 0) continue;
    remote_calls_.fetch_add(1, std::memory_order_relaxed);
    return std::make_unique<RemoteCall>(hosts_[worker]->loop(), carrier, agent, request, wake, held_);
  }
  wake.notify();
  return std::make_unique<FailedCall>(upstream_error(ErrorKind::kUnavailable, "agent is not connected", Retry::kYes));
}

// --- the whole -------------------------------------------------------------------------------------------------------

Task<void> Registry::close(unsigned worker) { return hosts_[worker]->close(); }

std::vector<AgentView> Registry::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<AgentView> views;
  for (const auto& [id, entry] : entries_) {
    AgentView view{id,
                   entry->agent->name(),
                   entry->version,
                   entry->up,
                   {},
                   entry->health.models,
                   entry->refused,
                   entry->health.trouble,
                   entry->health.lacks,
                   entry->health.telemetry};
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
    if (const auto found = entries_.find(agent_id); found != entries_.end()) found->second->revoked = true;
  }
  if (remembered_.erase(agent_id) != 0) tell_remembered();
  for (const auto& host : hosts_) {
    host->loop().post([&host = *host, agent_id] { host.cut(agent_id); });
  }
}

void Registry::restore(const std::string& agent_id, Remembered remembered) {
  remembered.stored = remembered.seen;
  remembered_[agent_id] = std::move(remembered);
  tell_remembered();
}

void Registry::forget(WallTime now, std::chrono::milliseconds keep) {
  std::set<std::string> there;
  for (const AgentView& agent : list()) {
    if (agent.tunnels != 0) there.insert(agent.id);
  }
  bool gone = false;
  for (auto at = remembered_.begin(); at != remembered_.end();) {
    auto& [id, remembered] = *at;
    if (there.contains(id)) {
      remembered.seen = now;
      if (now - remembered.stored > kStoreAgain) {
        directory_.remember(id, remembered.models);
        remembered.stored = now;
      }
    } else if (now - remembered.seen > keep) {
      directory_.remember(id, {});
      at = remembered_.erase(at);
      gone = true;
      continue;
    }
    ++at;
  }
  if (gone) tell_remembered();
}

void Registry::drain() {
  for (const auto& host : hosts_) host->loop().post([&host = *host] { host.drain(); });
}

}  // namespace sluice::tunnel
