// What a start and a reload have in common, and what a reload does beyond.
#include <absl/strings/str_join.h>
#include <fmt/format.h>

#include <algorithm>

#include "config/loader.h"
#include "config/waiting.h"
#include "server/check.h"
#include "server/conf.h"
#include "server/gateway.h"
#include "server/restore.h"
#include "server/show.h"

namespace sluice::server {

// Without the store no call is admitted, so there is nothing for policies to do.
absl::StatusOr<std::shared_ptr<const policy::Chain>> Gateway::make_chain() {
  if (!accounting_) return std::make_shared<const policy::Chain>(std::vector<std::unique_ptr<policy::Policy>>());
  return policies_.make(settings_, ledger_, *accounting_, boot_id_, kept_);
}

// What is to be installed for connections to come; nothing where it serves already, or where no listener speaks TLS.
absl::StatusOr<net::ServerTls::Replacement> Gateway::read_certificate(const config::Settings& settings) {
  const bool needed = std::ranges::any_of(settings.listeners, [](const config::Listener& listener) {
    return listener.transport == config::Transport::kTls;
  });
  if (!needed) return net::ServerTls::Replacement();
  const net::ServerTlsOptions options = make_tls_options(settings, ca_->certificate());
  if (tls_) return tls_->prepare(options);
  auto tls = net::ServerTls::create(options);
  if (!tls.ok()) return tls.status();
  tls_ = *std::move(tls);
  return net::ServerTls::Replacement();
}

// Gives upstreams the keys that the store keeps for them. One that is not to be had leaves its upstream unreachable, and
// nobody else; the log says so when it begins.
absl::Status Gateway::fill_secrets() {
  const config::Secrets& secrets = settings_.secrets;
  if (absl::Status set = secrets_.set_master_keys(secrets.master_key.value, secrets.old_master_key.value); !set.ok())
    return set;
  admin::Secrets::Users users;
  std::map<std::string, std::string> without;
  // Before the store is there no call is let in, and so nothing is amiss with them yet.
  const auto opened = accounting_ ? secrets_.open_all() : admin::Secrets::Opened();
  if (!opened.ok()) return opened.status();
  for (config::Upstream& upstream : settings_.upstreams) {
    const std::string_view name = upstream.api_key.in_store();
    if (name.empty()) continue;
    users[std::string(name)].push_back(upstream.name);
    const auto value = opened->values.find(name);
    upstream.api_key.value = value == opened->values.end() ? config::SecretText() : value->second;
    if (!upstream.api_key.value.empty() || !accounting_) continue;
    const auto why = opened->refused.find(name);
    without[upstream.name] = why == opened->refused.end()
                                 ? fmt::format("the store has no secret {}: sluice secret set {}", name, name)
                                 : fmt::format("secret {} cannot be opened: {}", name, why->second);
  }
  for (const auto& [upstream, why] : without) {
    const auto told = without_secret_.find(upstream);
    if (told == without_secret_.end() || told->second != why)
      log_.error("the api_key of an upstream is not to be had: it is not called",
                 {{"upstream", upstream}, {"why", why}});
  }
  without_secret_ = std::move(without);
  secrets_.set_users(std::move(users));
  return absl::OkStatus();
}

// What a start and a reload have in common. `tls`: what new connections are to use. An error: nothing has changed but what
// fill_secrets() filled.
absl::Status Gateway::apply(std::shared_ptr<SSL_CTX> tls) {
  if (absl::Status filled = fill_secrets(); !filled.ok()) return filled;
  auto chain = make_chain();
  if (!chain.ok()) return chain.status();
  const auto change = workers_.prepare(settings_, std::move(tls));
  if (!change.ok()) return change.status();
  const auto set_models = [this] {
    apply_models(settings_, models_.numbers(), ledger_);
    std::vector<admin::Accounts::ConfModel> named;
    for (const config::Model& model : settings_.models)
      named.push_back(
          {.name = model.name, .budgets = model.budgets, .user_budgets = model.user_budgets, .price = model.price});
    for (const config::Model& model : settings_.prices.models)
      named.push_back({.name = model.name, .budgets = {}, .user_budgets = {}, .price = model.price});
    const auto number_of = [this](std::string_view model) -> std::optional<std::uint32_t> {
      const std::uint32_t number = models_.numbers().keep(std::string(model));
      ledger_.know_model(number, model);  // also one that no conf names and no agent has served yet
      return number;
    };
    accounts_.set_models(number_of, std::move(named));
  };
  if (absl::Status changed = change_budgets(set_models); !changed.ok()) {
    workers_.abandon(*change);
    return changed;
  }
  proxy::StoredResponses::Options responses = make_response_options(settings_);
  responses.interval = started_with_.journal.sink_interval;  // which is read at start alone
  responses_.set_options(responses);
  kept_calls_.set_options(make_kept_options(settings_));
  ledger_.set_slice(settings_.ledger.slice);
  ledger_.set_warn_percent(settings_.ledger.warn_percent);
  agents_->set_times(pairing_times());
  connections_.cap = settings_.http.max_connections;
  held_.set_cap(settings_.http.buffered_limit);
  const auto number_of = [this](const std::string& upstream) { return models_.number_of_upstream(upstream); };
  const auto listed = [this](const std::string& upstream, const std::optional<upstream::ModelList>& list) {
    control_.post([this, upstream, list]() mutable { models_.listed(upstream, std::move(list)); });
  };
  workers_.apply(*change, number_of, listed);
  registry_->set_limits(make_registry_limits(settings_));
  models_.configure(settings_, *std::move(chain));
  return absl::OkStatus();
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

// Everything that may fail comes first: sockets, files, the store. Then the rest is applied, and no connection notices.
absl::StatusOr<std::vector<std::string>> Gateway::reload() {
  if (stopping_) return absl::FailedPreconditionError("the gateway drains: it takes no other conf any more");
  config::LoadResult loaded = load_checked(conf_path_, policies_, CheckFor::kReload);
  if (!loaded.good()) return absl::InvalidArgumentError(loaded.report());
  for (const config::Diagnostic& warning : loaded.diagnostics) log_.warn("conf", {{"warning", warning.to_string()}});
  const config::Secret& master_key = loaded.settings.secrets.master_key;
  if (master_key.given() && master_key.value.empty()) return absl::InvalidArgumentError(loaded.report());
  auto certificate = read_certificate(loaded.settings);
  if (!certificate.ok()) return certificate.status();
  const std::string& metrics_at = loaded.settings.admin.metrics;
  const bool metrics_move = metrics_at != settings_.admin.metrics;
  admin::AdminServer::MetricsPtr metrics;
  if (metrics_move && !metrics_at.empty()) {
    auto opened = admin_->open_metrics(metrics_at);
    if (!opened.ok()) return opened.status();
    metrics = *std::move(opened);
  }
  const std::vector<net::Endpoint> listened = workers_.addresses();
  const std::shared_ptr<SSL_CTX> tls = certificate->context ? certificate->context : tls_ ? tls_->context() : nullptr;
  config::Settings before = std::exchange(settings_, std::move(loaded.settings));
  if (absl::Status applied = apply(tls); !applied.ok()) {
    settings_ = std::move(before);
    if (const absl::Status back = fill_secrets(); !back.ok())
      log_.error("secrets of the store cannot be read", {{"why", text_of(back)}});
    return applied;
  }
  if (certificate->context) tls_->install(*std::move(certificate));
  if (metrics_move) admin_->use_metrics(std::move(metrics));
  const observe::Log::Options log = make_log_options(settings_.log);
  log_.set_level(log.level);
  log_.set_format(log.format);
  log_.set_access_rate(log.access_rate);
  registry_->set_options(make_registry_options(settings_, boot_id_, dialects_.table()));
  workers_.settle();
  if (workers_.addresses() != listened) announce();
  waiting_ = config::keys_that_wait(started_with_, settings_);
  if (waiting_.empty())
    log_.info("conf reloaded");
  else
    log_.warn("conf reloaded, but for keys that wait for a restart", {{"keys", absl::StrJoin(waiting_, ", ")}});
  return waiting_;
}

}  // namespace sluice::server
