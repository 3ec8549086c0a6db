#include "server/gateway.h"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "server/conf.h"
#include "server/restore.h"
#include "server/show.h"
#include "store/sqlite_store.h"

namespace sluice::server {
namespace {

constexpr std::chrono::seconds kStoreRetry{1};

std::vector<std::string_view> endpoint_names(const dialect::Table& dialects) {
  std::vector<std::string_view> names;
  for (const dialect::Endpoint& endpoint : dialects.endpoints()) names.push_back(endpoint.name);
  return names;
}

unsigned worker_count(const config::Settings& settings) {
  return settings.server.workers != 0 ? settings.server.workers : std::max(1u, std::thread::hardware_concurrency());
}

// A core dump holds requests. Off unless the conf allows it.
void set_core_dumps(bool allowed) {
  const rlim_t size = allowed ? RLIM_INFINITY : 0;
  const rlimit limit{size, size};
  ::setrlimit(RLIMIT_CORE, &limit);
}

// What waiting may mend: a disk that is not mounted yet, a lock, a folder's mode, a file that a backup replaces.
bool may_pass(const absl::Status& status) noexcept { return absl::IsUnavailable(status) || absl::IsDataLoss(status); }

}  // namespace

Gateway::Gateway(std::string conf_path, const PolicyMaker& policies, config::Settings settings)
    : conf_path_(std::move(conf_path)),
      policies_(policies),
      started_with_(std::move(settings)),
      settings_(started_with_),
      log_(make_log_options(settings_.log)),
      metrics_(worker_count(settings_)),
      meters_(metrics_, endpoint_names(dialects_.table())),
      budget_log_(log_),
      ledger_(clock_, make_ledger_options(settings_), &budget_log_),
      store_(store::make_sqlite(settings_.store_path())),
      held_(settings_.http.buffered_limit),
      doubts_(log_),
      responses_(store::make_sqlite(settings_.store_path(), store::Durability::kCheckpoint), clock_, log_,
                 make_response_options(settings_)),
      kept_calls_(store::make_sqlite(settings_.store_path()), ledger_, clock_, log_, make_kept_options(settings_)),
      outages_(log_, "an upstream cannot be reached", "an upstream can be reached again"),
      unlisted_(log_, "an upstream does not list its models, and the conf names none", "an upstream lists its models"),
      lacking_(log_, "an upstream does not list models that the conf names for it; check their names",
               "an upstream lists all models that the conf names for it"),
      control_(worker_count(settings_)),
      control_tasks_(control_,
                     [this](const char* what) {
                       log_.error("fault in a control task", {{"what", what}});
                     }),
      signals_(control_.executor(), SIGTERM, SIGINT, SIGHUP),
      sweep_timer_(control_.executor()),
      load_timer_(control_.executor()),
      workers_(worker_count(settings_), {.dialects = dialects_.table(),
                                         .directory = directory_,
                                         .clock = clock_,
                                         .meters = meters_,
                                         .metrics = metrics_,
                                         .log = log_,
                                         .held = held_,
                                         .doubts = doubts_,
                                         .large_bodies = large_bodies_,
                                         .responses = responses_,
                                         .kept_calls = kept_calls_,
                                         .outages = outages_,
                                         .unlisted = unlisted_,
                                         .lacking = lacking_,
                                         .connections = connections_,
                                         .boot_id = boot_id_}),
      models_(control_, workers_, meters_, log_),
      store_thread_(control_, store::make_sqlite_reader(settings_.store_path())),
      accounts_(*store_, directory_, ledger_, clock_),
      secrets_(*store_, clock_) {
  connections_.cap = settings_.http.max_connections;
  directory_.listen(&workers_);
  accounts_.set_budget_change([this](const std::function<void()>& set) { return change_budgets(set); });
}

absl::Status Gateway::open() {
  set_core_dumps(settings_.server.core_dumps);
  auto folder = StateFolder::take(settings_.server.state_dir);
  if (!folder.ok()) return folder.status();
  state_folder_.emplace(*std::move(folder));
  for (const auto step : {&Gateway::open_agents, &Gateway::open_front, &Gateway::open_admin}) {
    if (const absl::Status opened = (this->*step)(); !opened.ok()) return opened;
  }
  start_tunnels();
  const absl::Status loaded = load();
  if (loaded.ok() || !may_pass(loaded)) return loaded;
  log_.error("the store cannot be used: calls get 503 until it can", {{"why", text_of(loaded)}});
  load_later(loaded);
  return apply(tls_ ? tls_->context() : nullptr);
}

// Everything that only the store knows: callers, agents, what was used of budgets. Until this has succeeded once, every
// key gets 503 and no agent is let in. After an error it may be called again.
absl::Status Gateway::load() {
  if (absl::Status connected = store_->connect(); !connected.ok()) return connected;
  if (!accounting_) {
    auto accounting = Accounting::open(started_with_, clock_, boot_id_, log_);
    if (!accounting.ok()) return accounting.status();
    accounting_ = *std::move(accounting);
  }
  if (absl::Status kept = open_revocations(); !kept.ok()) return kept;
  if (absl::Status agents = agents_->load(); !agents.ok()) return agents;
  if (absl::Status models = restore_models(); !models.ok()) return models;
  if (absl::Status callers = accounts_.load(); !callers.ok()) return callers;
  if (absl::Status applied = apply(tls_ ? tls_->context() : nullptr); !applied.ok()) return applied;
  kept_calls_.record_to(accounting_->sink());
  const KeptFrom kept_from{directory_, models_.numbers()};
  if (absl::Status held = hold_kept_calls(*store_, kept_from, kept_calls_); !held.ok()) return held;
  if (absl::Status restored = restore_budgets(*store_, ledger_); !restored.ok()) return restored;
  workers_.settle();  // no key is good before every worker has its policies
  directory_.loaded();
  responses_.sweep_soon();
  warn_of_unbound();
  return absl::OkStatus();
}

// The log that goes with this store: it is found by the store's id.
absl::Status Gateway::open_revocations() {
  if (revocations_) return absl::OkStatus();
  const auto id = store_->id();
  if (!id.ok()) return id.status();
  auto log = store::RevocationLog::open(store::RevocationLog::path_of(settings_.server.state_dir, *id));
  if (!log.ok()) return log.status();
  revocations_ = *std::move(log);
  accounts_.keep_revocations(revocations_.get());
  agents_->keep_revocations(revocations_.get());
  return absl::OkStatus();
}

// `before`: why it could not be loaded so far. A new reason is a new line in the log, the same one is not.
void Gateway::load_later(absl::Status before) {
  load_timer_.expires_after(kStoreRetry);
  load_timer_.async_wait([this, before = std::move(before)](boost::system::error_code ec) {
    if (ec || stopping_) return;
    absl::Status loaded = load();
    if (loaded.ok()) return log_.info("the store is there: serving");
    if (loaded != before) log_.error("the store still cannot be used", {{"why", text_of(loaded)}});
    load_later(std::move(loaded));
  });
}

// The CA that signs agents and the key under which callers' names leave, the book for the agents that are ours, and the
// registry of those that are connected.
absl::Status Gateway::open_agents() {
  auto ca = identity::GatewayCa::open(settings_.server.state_dir);
  if (!ca.ok()) return ca.status();
  ca_.emplace(*std::move(ca));
  auto scope = identity::ScopeKey::open(settings_.server.state_dir);
  if (!scope.ok()) return scope.status();
  for (std::size_t i = 0; i < workers_.size(); ++i) workers_[i].worker().scope = *scope;
  agents_.emplace(*store_, book_, *ca_, clock_, pairing_times());
  const ControlThread control{control_, control_tasks_, *store_};
  stored_agents_.emplace(control, book_, *agents_, log_);
  pairing_endpoint_.emplace(dialects_.table(), control, *agents_, held_, log_);
  std::vector<net::Loop*> loops;
  for (std::size_t i = 0; i < workers_.size(); ++i) loops.push_back(&workers_[i].loop());
  tunnel::RegistryOptions options = make_registry_options(settings_, boot_id_, dialects_.table());
  options.session.held = &held_;
  registry_ = std::make_unique<tunnel::Registry>(control_, loops, std::move(options), *stored_agents_, log_);
  models_.set_registry(*registry_);
  registry_->listen(models_);
  return absl::OkStatus();
}

// Agents that were paired before an agent was bound to models.
void Gateway::warn_of_unbound() {
  for (const identity::Agent& agent : book_.all()) {
    if (agent.revoked || agent.binding.which != identity::BoundModels::kAsBefore) continue;
    log_.warn(
        "an agent is bound to no models: it keeps what it served last; pair it again with --model or --any-model",
        {{"agent", identity::agent_name(agent.id)}, {"name", agent.name}, {"models", agent.binding.models.size()}});
  }
}

// What agents served before this start: known, if not reachable yet.
absl::Status Gateway::restore_models() {
  auto known = store_->known_models();
  if (!known.ok()) return known.status();
  std::map<std::uint64_t, tunnel::Remembered> by_agent;
  for (store::KnownModel& model : *known) {
    tunnel::Remembered& of_agent = by_agent[model.agent_id];
    of_agent.seen = std::max(of_agent.seen, model.seen);
    of_agent.models.push_back(std::move(model.model));
  }
  for (auto& [id, remembered] : by_agent) {
    const auto agent = book_.live(id);
    if (!agent) continue;
    remembered.tenants = agent->binding.tenants;
    std::erase_if(remembered.models, [&](const std::string& model) { return !agent->binding.allows(model); });
    registry_->restore(identity::agent_name(id), std::move(remembered));
  }
  return absl::OkStatus();
}

admin::Agents::Times Gateway::pairing_times() const noexcept {
  return {.key_lifetime = settings_.pairing.key_lifetime,
          .certificate_lifetime = settings_.pairing.certificate_lifetime};
}

// Before the workers run: each learns where tunnels and pairing requests go.
void Gateway::start_tunnels() {
  for (unsigned i = 0; i < workers_.size(); ++i) {
    WorkerThread& worker = workers_[i];
    worker.set_tunnel_handler([this, i](std::unique_ptr<net::Stream> stream) {
      if (!directory_.is_loaded()) return stream->close();  // it will dial again; refused, it would seem revoked
      registry_->accept(i, std::move(stream));
    });
    worker.worker().own_paths = [this, &worker](http::Incoming& client, const policy::Peer& peer) {
      return pairing_endpoint_->serve(worker.worker(), client, peer);
    };
    worker.set_closing([this, i] { return registry_->close(i); });
  }
}

absl::Status Gateway::open_admin() {
  add_metrics();
  admin_.emplace(
      control_,
      admin::AdminBackend{accounts_, *agents_, *store_, directory_, book_, *this, clock_, store_thread_, secrets_},
      log_);
  if (const absl::Status listening = admin_->listen(settings_.admin_socket()); !listening.ok()) return listening;
  if (settings_.admin.metrics.empty()) return absl::OkStatus();
  auto metrics = admin_->open_metrics(settings_.admin.metrics);
  if (!metrics.ok()) return metrics.status();
  admin_->use_metrics(*std::move(metrics));
  return absl::OkStatus();
}

// Certificates and listeners: whatever may refuse does so before anything is accepted.
absl::Status Gateway::open_front() {
  if (const auto read = read_certificate(settings_); !read.ok()) return read.status();
  const auto change = workers_.prepare(settings_, tls_ ? tls_->context() : nullptr);
  if (!change.ok()) return change.status();
  workers_.keep(*change);
  return absl::OkStatus();
}

}  // namespace sluice::server
