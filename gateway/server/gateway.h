// The gateway as a whole: made from a conf file, run until it is told to stop, changed while it runs by a reload.
//
//   gateway.cc            start-up
//   gateway_reload.cc     what a start and a reload have in common, and what a reload does beyond
//   gateway_run.cc        signals, the admin API's questions, drain and end
//   gateway_metrics.cc    what the metrics endpoint shows of the whole
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/server.h"
#include "base/ids.h"
#include "identity/key_directory.h"
#include "ledger/ledger.h"
#include "server/accounting.h"
#include "server/backup.h"
#include "server/dialects.h"
#include "server/model_book.h"
#include "server/serve.h"
#include "server/state_folder.h"
#include "server/tunnels.h"
#include "server/workers.h"

namespace sluice::server {

// Everything that lives as long as the process serves. Members are destroyed from the last to the first.
// Thread:   the control thread, which is the one that calls run().
// Lifetime: no task runs before run(), so that one whose open() failed may simply go.
class Gateway final : private admin::GatewayControl {
 public:
  Gateway(std::string conf_path, const PolicyMaker& policies, config::Settings settings);

  // Takes everything that serving needs: folders, sockets, certificates, the store. Errors are one line that says what
  // to do.
  absl::Status open();
  // Serves until it is told to stop. An error: nothing was served.
  // REQUIRES: open() has succeeded.
  absl::Status run();

 private:
  // gateway.cc: from nothing to ready.
  absl::Status open_agents();
  absl::Status open_admin();
  void add_metrics();
  absl::Status load();
  absl::Status open_revocations();
  absl::Status restore_models();
  void warn_of_unbound();
  void load_later(absl::Status before);
  admin::Agents::Times pairing_times() const noexcept;
  void start_tunnels();
  absl::Status open_front();
  // gateway_reload.cc
  absl::StatusOr<net::ServerTls::Replacement> read_certificate(const config::Settings& settings);
  absl::StatusOr<std::shared_ptr<const policy::Chain>> make_chain();
  absl::Status apply(std::shared_ptr<SSL_CTX> tls);
  absl::Status fill_secrets();
  absl::Status change_budgets(const std::function<void()>& set);
  // gateway_run.cc
  void hear_signals();
  void sweep_later(std::chrono::seconds after);
  enum class Pruned : std::uint8_t { kAll, kSome };
  Pruned prune_audit();
  void begin_stop();
  Task<void> stop();
  void announce();
  void log_backup_failed(const std::string& file, const absl::Status& why);

  // admin::GatewayControl; its reload() is the one above.
  json::object status() override;
  json::array models() override;
  json::object route(const std::string& model) override;
  json::array explain_route(const identity::Key& key, const std::string& model) override;
  json::object agent(const std::string& agent_id) override;
  std::string metrics() override { return metrics_.prometheus(); }
  absl::StatusOr<std::vector<std::string>> reload() override;
  absl::Status drain() override;
  Task<absl::StatusOr<json::object>> backup(std::string file) override;
  absl::Status use_secrets() override { return apply(tls_ ? tls_->context() : nullptr); }
  void cut_agent(const std::string& agent_id) override { registry_->revoke(agent_id); }

  const Dialects dialects_;
  const std::string conf_path_;
  const PolicyMaker& policies_;
  policy::KeptState kept_;
  const config::Settings started_with_;
  config::Settings settings_;                // of the last reload
  std::vector<std::string> waiting_;         // keys whose change waits for a restart
  std::optional<StateFolder> state_folder_;  // first in, last out: nothing of it is used once it is free
  SystemClock clock_;
  const std::uint64_t boot_id_ = random_id();
  observe::Log log_;
  observe::Metrics metrics_;
  observe::Meters meters_;
  identity::KeyDirectory directory_;
  BudgetLog budget_log_;
  ledger::Ledger ledger_;
  std::unique_ptr<store::Store> store_;
  // Null until the store is there.
  std::unique_ptr<store::RevocationLog> revocations_;
  std::unique_ptr<Accounting> accounting_;
  HeldBytes held_;
  proxy::Doubts doubts_;
  proxy::LargeBodies large_bodies_;
  proxy::StoredResponses responses_;
  proxy::KeptCalls kept_calls_;
  Outages outages_;
  Outages unlisted_;
  Outages lacking_;
  ConnectionCount connections_;
  net::Loop control_;
  net::TaskGroup control_tasks_;
  asio::basic_signal_set<Executor> signals_;
  asio::basic_waitable_timer<Mono, asio::wait_traits<Mono>, Executor> sweep_timer_;
  asio::basic_waitable_timer<Mono, asio::wait_traits<Mono>, Executor> load_timer_;
  std::unique_ptr<net::ServerTls> tls_;
  Workers workers_;
  ModelBook models_;
  admin::StoreThread store_thread_;
  // Callers and agents, for the admin API.
  admin::Accounts accounts_;
  admin::Secrets secrets_;
  std::map<std::string, std::string> without_secret_;  // upstreams whose api_key is not to be had, and why
  identity::AgentBook book_;
  std::optional<identity::GatewayCa> ca_;
  std::optional<admin::Agents> agents_;
  std::optional<StoredAgents> stored_agents_;
  std::optional<PairingEndpoint> pairing_endpoint_;
  std::unique_ptr<tunnel::Registry> registry_;
  std::optional<admin::AdminServer> admin_;
  const MonoTime started_ = Mono::now();
  std::unique_ptr<BackupRun> backup_;  // null but while one is written
  bool stopping_ = false;
};

}  // namespace sluice::server
