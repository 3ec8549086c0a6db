// What the metrics endpoint shows beyond what workers count: read at each scrape.
#include <algorithm>

#include "server/gateway.h"
#include "server/show.h"

namespace sluice::server {

void Gateway::add_metrics() {
  metrics_.gauge_from("sluice_buffered_bytes", "Held in memory for clients, upstreams and agents.", {},
                      [this] { return static_cast<double>(held_.held()); });
  metrics_.gauge_from("sluice_reserved", "Tokens and micro-dollars that calls in flight have reserved.", {},
                      [this] { return static_cast<double>(ledger_.reserved()); });
  for (const auto& [label, what] : {std::pair("passed=\"warn_percent\"", BudgetLog::Passed::kNearly),
                                    std::pair("passed=\"amount\"", BudgetLog::Passed::kUsedUp),
                                    std::pair("passed=\"soft\"", BudgetLog::Passed::kSoft)})
    metrics_.counter_from("sluice_budget_thresholds_total", "Budgets that passed a threshold.", label,
                          [this, passed = what] { return static_cast<double>(budget_log_.count(passed)); });
  metrics_.counter_from("sluice_access_log_dropped_total", "Lines of the log that found no room.", {},
                        [this] { return static_cast<double>(log_.access_dropped()); });
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
  metrics_.gauge_from(
      "sluice_agents_in_trouble",
      "Connected agents whose model server cannot be used, or that offer only models that they were "
      "not paired for; agent list says why.",
      {}, [this] {
        return static_cast<double>(std::ranges::count_if(registry_->list(), [](const tunnel::AgentView& agent) {
          const bool only_refused = agent.models.empty() && !agent.refused.empty();
          return connected(agent) && (!agent.trouble.empty() || only_refused);
        }));
      });
  metrics_.gauge_from("sluice_places_ejected", "Places that are ejected now, each counted for each of its models.", {},
                      [this] { return static_cast<double>(models_.ejected()); });
  metrics_.counter_from("sluice_worker_crossings_total", "Calls that went through another worker's tunnel.", {},
                        [this] { return static_cast<double>(registry_->remote_calls()); });
}

}  // namespace sluice::server
