#include "server/gateway.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "admin/server.h"
#include "base/ids.h"
#include "base/version.h"
#include "config/loader.h"
#include "server/conf.h"
#include "server/restore.h"
#include "server/show.h"
#include "server/tunnels.h"
#include "server/workers.h"
#include "store/sqlite_store.h"

namespace sluice::server {
namespace {

constexpr std::chrono::milliseconds kDrainStep{20};
constexpr std::chrono::minutes kSweepInterval{10};
constexpr std::chrono::seconds kPruneGap{1};
constexpr std::size_t kPruneBatch = 5'000;
constexpr std::chrono::milliseconds kCutTime{2'000};  // for the last errors to leave
constexpr std::chrono::seconds kStoreRetry{1};

std::vector<std::string_view> endpoint_names() {
  using openai::EndpointId;
  std::vector<std::string_view> names;
  for (const EndpointId id : {EndpointId::kChatCompletions, EndpointId::kCompletions, EndpointId::kEmbeddings,
                              EndpointId::kResponses, EndpointId::kModels, EndpointId::kModel})
    names.push_back(openai::endpoint_of(id).name);
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

absl::Status make_private_folder(const std::string& path) {
  std::error_code ec;
  std::filesystem::create_directories(path, ec);
  if (!ec) std::filesystem::permissions(path, std::filesystem::perms::owner_all, ec);
  if (ec)
    return absl::PermissionDeniedError(
        fmt::format("cannot use the state folder {}: {}; choose another [server] state_dir", path, ec.message()));
  return absl::OkStatus();
}

}  // namespace

namespace {

// Everything that lives as long as the process serves. Members are destroyed from the last to the first.
// Thread: the control thread, which is the one that calls run().
class Gateway final : private admin::GatewayControl {
 public:
  Gateway(std::string conf_path, const PolicyMaker& policies, config::Settings settings);

  absl::Status open();
  int run();

 private:
  absl::Status open_agents();
  absl::Status open_admin();
  absl::Status load();
  absl::Status restore_models();
  void load_later(absl::Status before);
  absl::StatusOr<std::shared_ptr<const policy::Chain>> make_chain();
  admin::Agents::Times pairing_times() const noexcept;
  void start_tunnels();
  absl::Status open_front();
  absl::Status apply();
  absl::Status change_budgets(const std::function<void()>& set);
  void hear_signals();
  void sweep_later(std::chrono::seconds after = kSweepInterval);
  enum class Pruned : std::uint8_t { kAll, kSome };
  Pruned prune_audit();
  void begin_stop();
  Task<void> stop();
  void announce();

  // admin::GatewayControl; its reload() is the one above.
  json::object status() override;
  json::array models() override;
  json::object agent(const std::string& agent_id) override;
  std::string metrics() override { return metrics_.prometheus(); }
  absl::Status reload() override;
  absl::Status drain() override;
  void cut_agent(const std::string& agent_id) override { registry_->revoke(agent_id); }

  const std::string conf_path_;
  const PolicyMaker& policies_;
  config::Settings settings_;
  SystemClock clock_;
  const std::uint64_t boot_id_ = random_id();
  observe::Log log_;
  observe::Metrics metrics_;
  observe::Meters meters_;
  identity::KeyDirectory directory_;
  BudgetLog budget_log_;
  ledger::Ledger ledger_;
  ModelNumbers numbers_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Accounting> accounting_;  // null until the store is there
  proxy::BufferedBytes buffered_;
  ConnectionCount connections_;
  net::Loop control_;
  net::TaskGroup control_tasks_;
  asio::basic_signal_set<Executor> signals_;
  asio::basic_waitable_timer<Mono, asio::wait_traits<Mono>, Executor> sweep_timer_;
  asio::basic_waitable_timer<Mono, asio::wait_traits<Mono>, Executor> load_timer_;
  std::unique_ptr<net::ServerTls> tls_;
  Workers workers_;
  // Callers and agents, for the admin API.
  admin::Accounts accounts_;
  identity::AgentBook book_;
  std::optional<identity::GatewayCa> ca_;
  std::optional<admin::Agents> agents_;
  std::optional<BookedAgents> booked_;
  std::optional<PairingDesk> desk_;
  std::unique_ptr<tunnel::Registry> registry_;
  std::vector<std::unique_ptr<upstream::AgentPlaces>> agent_places_;  // one a worker
  std::optional<admin::AdminServer> admin_;
  const MonoTime started_ = Mono::now();
  bool stopping_ = false;
};

Gateway::Gateway(std::string conf_path, const PolicyMaker& policies, config::Settings settings)
    : conf_path_(std::move(conf_path)),
      policies_(policies),
      settings_(std::move(settings)),
      log_(make_log_options(settings_.log)),
      metrics_(worker_count(settings_)),
      meters_(metrics_, endpoint_names()),
      budget_log_(log_),
      ledger_(clock_, make_ledger_options(settings_), &budget_log_),
      store_(store::make_sqlite(settings_.store_path())),
      buffered_(settings_.http.buffered_limit),
      control_(worker_count(settings_)),
      control_tasks_(control_,
                     [this](const char* what) {
                       log_.error("fault in a control task", {{"what", what}});
                     }),
      signals_(control_.executor(), SIGTERM, SIGINT, SIGHUP),
      sweep_timer_(control_.executor()),
      load_timer_(control_.executor()),
      workers_(worker_count(settings_), {.directory = directory_,
                                         .clock = clock_,
                                         .meters = meters_,
                                         .metrics = metrics_,
                                         .log = log_,
                                         .buffered = buffered_,
                                         .connections = connections_,
                                         .boot_id = boot_id_}),
      accounts_(*store_, directory_, ledger_, clock_) {
  connections_.cap = settings_.http.max_connections;
  directory_.listen(&workers_);
  accounts_.set_budget_change([this](const std::function<void()>& set) { return change_budgets(set); });
}

absl::Status Gateway::open() {
  set_core_dumps(settings_.server.core_dumps);
  if (const absl::Status made = make_private_folder(settings_.server.state_dir); !made.ok()) return made;
  for (const auto step : {&Gateway::open_agents, &Gateway::open_front, &Gateway::open_admin}) {
    if (const absl::Status opened = (this->*step)(); !opened.ok()) return opened;
  }
  start_tunnels();
  const absl::Status loaded = load();
  if (loaded.ok() || !may_pass(loaded)) return loaded;
  log_.error("the store cannot be used: calls get 503 until it can", {{"why", text_of(loaded)}});
  load_later(loaded);
  return apply();
}

// Everything that only the store knows: callers, agents, what was used of budgets. Until this has succeeded once, every
// key gets 503 and no agent is let in. After an error it may be called again.
absl::Status Gateway::load() {
  if (absl::Status connected = store_->connect(); !connected.ok()) return connected;
  if (!accounting_) {
    auto accounting = Accounting::open(settings_, clock_, boot_id_, log_);
    if (!accounting.ok()) return accounting.status();
    accounting_ = *std::move(accounting);
  }
  if (absl::Status agents = agents_->load(); !agents.ok()) return agents;
  if (absl::Status models = restore_models(); !models.ok()) return models;
  if (absl::Status callers = accounts_.load(); !callers.ok()) return callers;
  if (absl::Status applied = apply(); !applied.ok()) return applied;
  if (absl::Status restored = restore_budgets(*store_, ledger_); !restored.ok()) return restored;
  workers_.settle();  // no key is good before every worker has its policies
  directory_.loaded();
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

// The CA that signs agents, the book for those that are ours, and the registry of those that are connected.
absl::Status Gateway::open_agents() {
  auto ca = identity::GatewayCa::open(settings_.server.state_dir);
  if (!ca.ok()) return ca.status();
  ca_.emplace(*std::move(ca));
  agents_.emplace(*store_, book_, *ca_, clock_, pairing_times());
  booked_.emplace(control_, book_, *agents_, log_);
  desk_.emplace(control_, *agents_, log_);
  std::vector<net::Loop*> loops;
  for (std::size_t i = 0; i < workers_.size(); ++i) loops.push_back(&workers_[i].loop());
  registry_ = std::make_unique<tunnel::Registry>(loops, make_registry_options(settings_, boot_id_), *booked_, log_);
  return absl::OkStatus();
}

// What agents served before this start: known, if not reachable yet.
absl::Status Gateway::restore_models() {
  auto known = store_->known_models();
  if (!known.ok()) return known.status();
  std::map<std::uint64_t, std::vector<std::string>> by_agent;
  for (store::KnownModel& model : *known) by_agent[model.agent_id].push_back(std::move(model.model));
  for (const auto& [id, models] : by_agent) registry_->restore(identity::agent_name(id), models);
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
    worker.worker().own_paths = [this, &worker](http::ServerConnection& client, const http::RequestHead& head) {
      return desk_->serve(worker.loop(), client, head);
    };
    agent_places_.push_back(std::make_unique<upstream::AgentPlaces>(*registry_, i, worker.catalog()));
    worker.set_closing([this, i] { return registry_->close(i); });
  }
}

absl::Status Gateway::open_admin() {
  metrics_.gauge_from("sluice_buffered_bytes", "Request bodies held in memory.", {},
                      [this] { return static_cast<double>(buffered_.held()); });
  metrics_.gauge_from("sluice_reserved", "Tokens and micro-dollars that calls in flight have reserved.", {},
                      [this] { return static_cast<double>(ledger_.reserved()); });
  for (const auto& [label, what] : {std::pair("passed=\"warn_percent\"", BudgetLog::Passed::kNearly),
                                    std::pair("passed=\"amount\"", BudgetLog::Passed::kUsedUp),
                                    std::pair("passed=\"soft\"", BudgetLog::Passed::kSoft)})
    metrics_.counter_from("sluice_budget_thresholds_total", "Budgets that passed a threshold.", label,
                          [this, passed = what] { return static_cast<double>(budget_log_.count(passed)); });
  const auto journal = [this] { return accounting_ ? accounting_->journal() : nullptr; };
  metrics_.gauge_from("sluice_journal_full", "1: the journal's disk has no room.", {},
                      [journal] { return journal() != nullptr && journal()->full() ? 1.0 : 0.0; });
  metrics_.counter_from("sluice_unjournalled_total", "Calls that went on without the journal, for want of room.", {},
                        [journal] { return journal() ? static_cast<double>(journal()->unjournalled()) : 0; });
  metrics_.gauge_from("sluice_audit_waiting", "Ended calls that the store has not taken yet.", {}, [this] {
    return accounting_ ? static_cast<double>(accounting_->recorded() - accounting_->stored()) : 0;
  });
  metrics_.counter_from("sluice_audit_dropped_total", "Ended calls whose record found no room.", {},
                        [this] { return accounting_ ? static_cast<double>(accounting_->dropped()) : 0; });
  metrics_.gauge_from("sluice_tunnels", "Tunnels of all agents.", {}, [this] {
    double tunnels = 0;
    for (const tunnel::AgentView& agent : registry_->list()) tunnels += agent.tunnels;
    return tunnels;
  });
  metrics_.counter_from("sluice_worker_crossings_total", "Calls that went through another worker's tunnel.", {},
                        [this] { return static_cast<double>(registry_->remote_calls()); });
  admin_.emplace(control_, admin::AdminBackend{accounts_, *agents_, *store_, directory_, book_, *this, clock_}, log_);
  if (const absl::Status listening = admin_->listen(settings_.admin_socket()); !listening.ok()) return listening;
  return settings_.admin.metrics.empty() ? absl::OkStatus() : admin_->listen_metrics(settings_.admin.metrics);
}

// Certificates, listeners, and what workers need to serve.
absl::Status Gateway::open_front() {
  const bool any_tls = std::ranges::any_of(settings_.listeners, [](const config::Listener& listener) {
    return listener.transport == config::Transport::kTls;
  });
  if (any_tls) {
    auto tls = net::ServerTls::create(make_tls_options(settings_, ca_->certificate()));
    if (!tls.ok()) return tls.status();
    tls_ = *std::move(tls);
  }
  return workers_.listen(settings_, tls_.get());
}

// Without the store no call is admitted, so there is nothing for policies to do.
absl::StatusOr<std::shared_ptr<const policy::Chain>> Gateway::make_chain() {
  if (!accounting_) return std::make_shared<const policy::Chain>(std::vector<std::unique_ptr<policy::Policy>>());
  return policies_.make(settings_.policies.order, ledger_, *accounting_, boot_id_);
}

// What a start and a reload have in common.
absl::Status Gateway::apply() {
  auto chain = make_chain();
  if (!chain.ok()) return chain.status();
  const auto set_models = [this] {
    apply_models(settings_, numbers_, ledger_);
    accounts_.set_models([this](std::string_view model) -> std::optional<std::uint32_t> {
      const std::uint32_t number = numbers_.of(std::string(model));
      ledger_.know_model(number, model);  // also one that no conf names and no agent has served yet
      return number;
    });
  };
  if (const absl::Status changed = change_budgets(set_models); !changed.ok()) return changed;
  ledger_.set_slice(settings_.ledger.slice);
  ledger_.set_warn_percent(settings_.ledger.warn_percent);
  agents_->set_times(pairing_times());
  connections_.cap = settings_.http.max_connections;
  buffered_.set_cap(settings_.http.buffered_limit);
  return workers_.apply(settings_, tls_.get(), numbers_, meters_, *std::move(chain));
}

// Once calls are let in, budgets may be made in the middle of them. Before, restore_budgets() tells all of them.
absl::Status Gateway::change_budgets(const std::function<void()>& set) {
  if (directory_.is_loaded()) {
    // A worker settles a call and leaves its record in one turn.
    return server::change_budgets(*store_, *accounting_, ledger_, set, [this] { workers_.settle(); });
  }
  set();
  return absl::OkStatus();
}

absl::Status Gateway::reload() {
  config::LoadResult loaded =
      config::load_file(conf_path_, {.files = config::Files::kCheck, .known_policies = policies_.available});
  if (!loaded.good()) {
    std::string all;
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) all += diagnostic.to_string() + "\n";
    return absl::InvalidArgumentError(all);
  }
  if (tls_) {
    if (const absl::Status read = tls_->reload(make_tls_options(loaded.settings, ca_->certificate())); !read.ok())
      return read;
  }
  config::Settings before = std::exchange(settings_, std::move(loaded.settings));
  settings_.listeners.resize(std::min(settings_.listeners.size(), before.listeners.size()));
  if (const absl::Status applied = apply(); !applied.ok()) {
    settings_ = std::move(before);
    return applied;
  }
  log_.set_level(make_log_options(settings_.log).level);
  log_.info("conf reloaded");
  return absl::OkStatus();
}

json::object Gateway::status() {
  json::object status{
      {"state", stopping_ ? "draining" : "running"},
      {"version", kVersion},
      {"uptime_seconds", std::chrono::duration_cast<std::chrono::seconds>(Mono::now() - started_).count()},
      {"workers", workers_.size()},
      {"connections", connections_.open.load()},
      {"buffered_bytes", buffered_.held()},
      {"keys", directory_.keys()},
      {"agents_connected", std::ranges::count_if(registry_->list(), connected)},
      {"reserved", ledger_.reserved()}};
  if (accounting_) show(*accounting_, status);
  json::array addresses;
  for (const net::Endpoint& address : workers_.addresses()) addresses.emplace_back(show(address));
  status["addresses"] = std::move(addresses);
  return status;
}

json::array Gateway::models() { return show_models(workers_); }

json::object Gateway::agent(const std::string& agent_id) {
  for (const tunnel::AgentView& agent : registry_->list()) {
    if (agent.id == agent_id && connected(agent)) return show(agent);
  }
  return {};
}

absl::Status Gateway::drain() {
  begin_stop();
  return absl::OkStatus();
}

void Gateway::announce() {
  for (std::size_t i = 0; i < workers_.addresses().size(); ++i) {
    log_.info("listening", {{"address", show(workers_.addresses()[i])}, {"workers", workers_.size()}});
  }
}

int Gateway::run() {
  hear_signals();
  sweep_later();
  workers_.start();
  announce();
  const auto work = asio::make_work_guard(control_.io());
  control_.io().run();
  return 0;
}

// Requests of the system: SIGTERM and SIGINT stop, SIGHUP reloads.
void Gateway::hear_signals() {
  signals_.async_wait([this](boost::system::error_code ec, int signal) {
    if (ec) return;
    hear_signals();
    if (signal != SIGHUP) return begin_stop();
    if (const absl::Status reloaded = reload(); !reloaded.ok())
      log_.error("conf not reloaded, the old one stays", {{"why", text_of(reloaded)}});
  });
}

// Counters of days and months gone by.
void Gateway::sweep_later(std::chrono::seconds after) {
  sweep_timer_.expires_after(after);
  sweep_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    ledger_.sweep();
    sweep_later(prune_audit() == Pruned::kAll ? kSweepInterval : kPruneGap);
  });
}

// Audit records that were kept for as long as the conf says: a batch at a time, so that the store is free in between.
Gateway::Pruned Gateway::prune_audit() {
  if (!directory_.is_loaded()) return Pruned::kAll;
  const auto gone = store_->prune_audit(clock_.wall() - settings_.audit.keep, kPruneBatch);
  if (gone.ok()) return *gone < kPruneBatch ? Pruned::kAll : Pruned::kSome;
  log_.warn("old audit records could not be deleted; will try again", {{"why", text_of(gone.status())}});
  return Pruned::kAll;
}

void Gateway::begin_stop() {
  if (std::exchange(stopping_, true)) return;
  control_tasks_.spawn(stop());
}

// Drain, then cut, then close: running calls get the grace, then an error that asks for a retry.
Task<void> Gateway::stop() {
  log_.info("draining", {{"grace_ms", settings_.server.grace.count()}, {"connections", connections_.open.load()}});
  net::Signal step(control_);
  registry_->drain();
  workers_.post_all([](WorkerThread& worker) { worker.drain(); });
  const net::Deadline grace = net::Deadline::after(settings_.server.grace);
  while (connections_.open > 0 && !grace.passed()) (void)co_await step.wait(net::Deadline::after(kDrainStep));
  workers_.post_all([](WorkerThread& worker) { worker.cut(); });
  const net::Deadline cut = net::Deadline::after(kCutTime);
  while (connections_.open > 0 && !cut.passed()) (void)co_await step.wait(net::Deadline::after(kDrainStep));
  workers_.post_all([](WorkerThread& worker) { worker.close_all(); });
  workers_.stop();
  co_await admin_->stop();
  log_.info("stopped");
  control_tasks_.when_idle([this] { control_.io().stop(); });
}

}  // namespace

int serve(const std::string& conf_path, const PolicyMaker& policies) {
  config::LoadResult loaded =
      config::load_file(conf_path, {.files = config::Files::kCheck, .known_policies = policies.available});
  for (const config::Diagnostic& diagnostic : loaded.diagnostics)
    std::fprintf(stderr, "%s\n", diagnostic.to_string().c_str());
  if (!loaded.good()) return 1;
  Gateway gateway(conf_path, policies, std::move(loaded.settings));
  if (const absl::Status opened = gateway.open(); !opened.ok()) {
    std::fprintf(stderr, "sluice: %s\n", std::string(opened.message()).c_str());
    return 1;
  }
  return gateway.run();
}

}  // namespace sluice::server
