// A gateway that runs: signals, what the admin API asks, drain and end.
#include "base/version.h"
#include "server/gateway.h"
#include "server/show.h"
#include "server/show_route.h"

namespace sluice::server {
namespace {

constexpr std::chrono::milliseconds kDrainStep{20};
constexpr std::chrono::minutes kSweepInterval{10};
constexpr std::chrono::seconds kPruneGap{1};
constexpr std::size_t kPruneBatch = 5'000;
constexpr std::chrono::milliseconds kCutTime{2'000};  // for the last errors to leave

}  // namespace

void Gateway::announce() {
  for (const net::Endpoint& address : workers_.addresses())
    log_.info("listening",
              {{"gateway", settings_.server.name}, {"address", show(address)}, {"workers", workers_.size()}});
}

absl::Status Gateway::run() {
  if (absl::Status started = workers_.start(); !started.ok()) return started;
  responses_.set_eraser([this](std::vector<store::ResponseRecord> responses) {
    workers_[0].post(
        [responses = std::move(responses)](WorkerThread& worker) mutable { worker.erase(std::move(responses)); });
  });
  kept_calls_.set_asker([this](proxy::KeptCalls::Question question) {
    workers_[0].post(
        [question = std::move(question)](WorkerThread& worker) mutable { worker.ask(std::move(question)); });
  });
  hear_signals();
  sweep_later(kSweepInterval);
  admin_->start();
  announce();
  const auto work = asio::make_work_guard(control_.io());
  control_.io().run();
  return absl::OkStatus();
}

// Requests of the system: SIGTERM and SIGINT stop, SIGHUP reloads.
void Gateway::hear_signals() {
  signals_.async_wait([this](boost::system::error_code ec, int signal) {
    if (ec) return;
    hear_signals();
    if (signal != SIGHUP) return begin_stop();
    if (const auto reloaded = reload(); !reloaded.ok())
      log_.error("conf not reloaded, the old one stays", {{"why", text_of(reloaded.status())}});
  });
}

// Counters of days and months gone by.
void Gateway::sweep_later(std::chrono::seconds after) {
  sweep_timer_.expires_after(after);
  sweep_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    ledger_.sweep();
    registry_->forget(clock_.wall(), settings_.route.forget_models);
    sweep_later(prune_audit() == Pruned::kAll ? kSweepInterval : kPruneGap);
  });
}

// Audit records that were kept for as long as the conf says: a batch at a time, so that the store is free in between.
Gateway::Pruned Gateway::prune_audit() {
  if (!directory_.is_loaded()) return Pruned::kAll;
  if (!store_->may_change().ok()) return Pruned::kSome;  // the journal delivers, or another program holds it: soon
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
  responses_.set_eraser(nullptr);
  kept_calls_.set_asker(nullptr);
  workers_.post_all([](WorkerThread& worker) { worker.cut(); });
  const net::Deadline cut = net::Deadline::after(kCutTime);
  while (connections_.open > 0 && !cut.passed()) (void)co_await step.wait(net::Deadline::after(kDrainStep));
  workers_.post_all([](WorkerThread& worker) { worker.close_all(); });
  workers_.stop();
  if (backup_) backup_->cancel();
  store_thread_.end();
  co_await admin_->stop();
  log_.info("stopped");
  control_tasks_.when_idle([this] { control_.io().stop(); });
}

json::object Gateway::status() {
  json::object status{
      {"name", settings_.server.name},
      {"state", stopping_ ? "draining" : "running"},
      {"version", kVersion},
      {"uptime_seconds", std::chrono::duration_cast<std::chrono::seconds>(Mono::now() - started_).count()},
      {"workers", workers_.size()},
      {"connections", connections_.open.load()},
      {"buffered_bytes", held_.held()},
      {"keys", directory_.keys()},
      {"agents_connected", std::ranges::count_if(registry_->list(), connected)},
      {"reserved", ledger_.reserved()},
      {"in_background", kept_calls_.count()}};
  status["places_ejected"] = models_.ejected();
  status["waiting_for_slots"] = show_waiting(workers_);
  status["upstream_troubles"] = show_troubles({&outages_, &unlisted_, &lacking_});
  if (accounting_) show(*accounting_, status);
  json::array addresses;
  for (const net::Endpoint& address : workers_.addresses()) addresses.emplace_back(show(address));
  status["addresses"] = std::move(addresses);
  if (const std::uint16_t port = admin_->metrics_port(); port != 0) status["metrics_port"] = port;
  status["restart_needed"] = json::array(waiting_.begin(), waiting_.end());
  return status;
}

json::array Gateway::models() { return show_models(workers_); }

json::object Gateway::route(const std::string& model) { return show_route(workers_, settings_, model); }

json::array Gateway::explain_route(const identity::Key& key, const std::string& model) {
  return server::explain_route(workers_, settings_, key, clock_.wall(), model);
}

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

Task<absl::StatusOr<json::object>> Gateway::backup(std::string file) {
  if (!directory_.is_loaded())
    co_return absl::UnavailableError("the store is not loaded yet; see the gateway's log, and try again soon");
  if (backup_ || stopping_)
    co_return absl::FailedPreconditionError(stopping_ ? "the gateway is about to end"
                                                      : "a backup is being written already; wait until it has ended");
  const auto id = store_->id();
  if (!id.ok()) co_return id.status();
  auto parts = backup_parts(settings_, *accounting_, *revocations_, *id, clock_.wall());
  if (!parts.ok()) co_return parts.status();
  backup_ = std::make_unique<BackupRun>(control_, settings_.store_path(), *std::move(parts), file);
  const absl::Status written = co_await backup_->wait(net::Deadline::after(settings_.store.backup_time));
  backup_.reset();
  if (!written.ok()) {
    log_backup_failed(file, written);
    co_return written;
  }
  co_return backup_shown(file, *revocations_);
}

void Gateway::log_backup_failed(const std::string& file, const absl::Status& why) {
  log_.error("no backup was written", {{"file", file}, {"why", text_of(why)}});
}

}  // namespace sluice::server
