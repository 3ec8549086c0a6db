#include "server/show.h"

#include <map>
#include <mutex>
#include <sstream>

namespace sluice::server {

json::object show(const tunnel::AgentView& agent) {
  json::array models;
  for (const tunnel::ModelHealth& model : agent.models)
    models.push_back(json::object{{"name", model.name},
                                  {"state", model.state == tunnel::ModelState::kReady ? "ready" : "unavailable"},
                                  {"slots", model.slots},
                                  {"busy", model.busy}});
  return {{"version", agent.version},
          {"tunnels", agent.tunnels},
          {"models", std::move(models)},
          {"cpu_percent", agent.telemetry.cpu_percent},
          {"memory_used_bytes", agent.telemetry.memory_used_bytes},
          {"memory_total_bytes", agent.telemetry.memory_total_bytes},
          {"queue", agent.telemetry.queue},
          {"gpus", agent.telemetry.gpus.size()}};
}

json::array show_models(Workers& workers) {
  std::map<std::string, std::int64_t> free_slots;
  std::mutex mutex;
  workers.run_all([&](WorkerThread& worker) {
    const std::lock_guard lock(mutex);
    for (const auto& [model, slots] : worker.worker().pool.free_slots()) free_slots[model] = slots;
  });
  json::array models;
  for (const auto& [model, slots] : free_slots) models.push_back(json::object{{"name", model}, {"free_slots", slots}});
  return models;
}

void show(const Accounting& accounting, json::object& into) {
  if (const ledger::Journal* journal = accounting.journal())
    into["journal"] = {
        {"open_calls", journal->open_calls()}, {"unjournalled", journal->unjournalled()}, {"full", journal->full()}};
  into["audit"] = {
      {"recorded", accounting.recorded()}, {"stored", accounting.stored()}, {"dropped", accounting.dropped()}};
}

std::string show(const net::Endpoint& endpoint) {
  std::ostringstream text;
  text << endpoint;
  return text.str();
}

}  // namespace sluice::server
