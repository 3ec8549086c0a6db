// What a start and a reload have in common, and what a reload does beyond.
#include "config/loader.h"
#include "server/conf.h"
#include "server/gateway.h"
#include "server/restore.h"
#include "server/show.h"

namespace sluice::server {

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
    apply_models(settings_, models_.numbers(), ledger_);
    std::vector<admin::Accounts::ConfModel> named;
    for (const config::Model& model : settings_.models)
      named.push_back({.name = model.name, .budgets = model.budgets, .user_budgets = model.user_budgets});
    const auto number_of = [this](std::string_view model) -> std::optional<std::uint32_t> {
      const std::uint32_t number = models_.numbers().keep(std::string(model));
      ledger_.know_model(number, model);  // also one that no conf names and no agent has served yet
      return number;
    };
    accounts_.set_models(number_of, std::move(named));
  };
  if (const absl::Status changed = change_budgets(set_models); !changed.ok()) return changed;
  ledger_.set_slice(settings_.ledger.slice);
  ledger_.set_warn_percent(settings_.ledger.warn_percent);
  agents_->set_times(pairing_times());
  connections_.cap = settings_.http.max_connections;
  buffered_.set_cap(settings_.http.buffered_limit);
  const auto number_of = [this](const std::string& upstream) { return models_.number_of_upstream(upstream); };
  const auto listed = [this](const std::string& upstream, const std::optional<upstream::ModelList>& list) {
    control_.post([this, upstream, list]() mutable { models_.listed(upstream, std::move(list)); });
  };
  if (const absl::Status applied = workers_.apply(settings_, tls_.get(), number_of, listed); !applied.ok())
    return applied;
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
  const observe::Log::Options log = make_log_options(settings_.log);
  log_.set_level(log.level);
  log_.set_format(log.format);
  log_.set_access_rate(log.access_rate);
  registry_->set_options(make_registry_options(settings_, boot_id_));
  log_.info("conf reloaded");
  return absl::OkStatus();
}

}  // namespace sluice::server
