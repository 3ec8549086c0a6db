#include "server/show.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <sstream>
#include <tuple>
#include <utility>
#include <vector>

#include "upstream/queue_home.h"

namespace sluice::server {

namespace {

// Of its model server, or else between what it offers and what it was paired for.
std::string show_trouble(const tunnel::AgentView& agent) {
  if (!agent.trouble.empty() || agent.refused.empty()) return agent.trouble;
  return "offers what it was not paired for: " + tunnel::list_names(agent.refused) +
         "; pair it anew with --model or --any-model";
}

}  // namespace

json::object show(const tunnel::AgentView& agent) {
  json::array models;
  for (const tunnel::ModelHealth& model : agent.models)
    models.push_back(json::object{{"name", model.name},
                                  {"state", model.state == tunnel::ModelState::kReady ? "ready" : "unavailable"},
                                  {"slots", model.slots},
                                  {"busy", model.busy}});
  return {{"version", agent.version},
          {"lacks", json::array(agent.lacks.begin(), agent.lacks.end())},
          {"tunnels", agent.tunnels},
          {"models", std::move(models)},
          {"models_refused", agent.refused.size()},
          {"trouble", show_trouble(agent)},
          {"cpu_percent", agent.telemetry.cpu_percent},
          {"memory_used_bytes", agent.telemetry.memory_used_bytes},
          {"memory_total_bytes", agent.telemetry.memory_total_bytes},
          {"queue", agent.telemetry.queue},
          {"gpus", agent.telemetry.gpus.size()}};
}

json::object show_waiting(Workers& workers) {
  std::map<std::string, std::size_t> calls;
  std::mutex mutex;
  workers.run_all([&](WorkerThread& worker) {
    const auto of_worker = worker.worker().pool.waiting_by_model();
    const std::lock_guard lock(mutex);
    for (const auto& [model, count] : of_worker) calls[model] += count;
  });
  json::object shown;
  for (const auto& [model, count] : calls) shown[model] = count;
  return shown;
}

namespace {

struct ShownPlace {
  std::string name;
  const char* kind;
  bool reachable;
  std::int64_t slots, free_slots;
  std::shared_ptr<const upstream::Standing> standing;
};
using ShownModel = std::pair<std::string, std::vector<ShownPlace>>;

// What one worker sees. On the worker, and no more than that there: it has calls to carry.
std::vector<ShownModel> seen_by(const upstream::Pool& pool) {
  std::vector<ShownModel> models;
  for (const auto& [model, places] : pool.served()) {
    auto& shown = models.emplace_back(model, std::vector<ShownPlace>()).second;
    for (const auto& [place, standing] : places)
      shown.push_back({std::string(place->name()), place->kind(), place->reachable(), place->slots(),
                       std::max<std::int64_t>(place->free_slots(), 0), standing});
  }
  return models;
}

// Kind, name, and which of those that have the same of both. Each worker has places of its own for the same things.
using PlaceName = std::tuple<std::string, std::string, unsigned>;
using ShownPlaces = std::map<PlaceName, ShownPlace>;

// One worker's view, into that of all: a place is reachable if any worker reaches it.
void add_places(const std::vector<ShownPlace>& places, ShownPlaces& into) {
  std::map<std::pair<std::string, std::string>, unsigned> seen;
  for (const ShownPlace& place : places) {
    const unsigned of_same = seen[{place.kind, place.name}]++;
    ShownPlace& shown = into.try_emplace({place.kind, place.name, of_same}, place).first->second;
    shown.reachable = shown.reachable || place.reachable;
  }
}

const char* state_of(const ShownPlace& place, MonoTime now) {
  if (!place.reachable) return "unreachable";
  if (place.standing == nullptr) return "reachable";
  switch (place.standing->breaker.gate(now, MonoTime::max())) {
    case upstream::Breaker::Gate::kEjected:
    case upstream::Breaker::Gate::kTrial:
      return "ejected";
    case upstream::Breaker::Gate::kHeldOff:
      return "held off";
    case upstream::Breaker::Gate::kWell:
      break;
  }
  return "reachable";
}

json::object show_place(const std::string& name, const std::string& kind, const ShownPlace& place, MonoTime now) {
  json::object shown{{"name", name},
                     {"kind", kind},
                     {"state", state_of(place, now)},
                     {"slots", place.slots},
                     {"free_slots", place.free_slots}};
  if (place.standing == nullptr) return shown;
  if (shown["state"] == "ejected") shown["why"] = to_string(place.standing->breaker.fault());
  if (const std::uint64_t us = place.standing->first_token.expected_us(now); us != 0)
    shown["first_token_ms"] = static_cast<double>(us) / 1e3;
  return shown;
}

// The queue before a model's slots: who waits and for how long, who has a turn, and what part of the tokens of all who
// waited lately each has got.
json::object show_queue(const upstream::QueueHome::Seen& queue) {
  constexpr std::size_t kMostUsers = 100;
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  std::vector<upstream::FairQueue::Seen> users = queue.users;
  std::ranges::sort(users, std::ranges::greater(),
                    [](const auto& user) { return std::tuple(user.waiting, user.tokens, user.who.id); });
  std::uint64_t tokens = 0;
  for (const auto& user : users) tokens += user.tokens;
  json::array shown;
  for (const auto& user : users) {
    if (shown.size() == kMostUsers) break;
    shown.push_back(json::object{{"tenant", std::string(user.who.tenant)},
                                 {"user", std::string(user.who.user)},
                                 {"priority", to_string(user.share.priority)},
                                 {"weight", user.share.weight},
                                 {"waiting", user.waiting},
                                 {"longest_wait_ms", duration_cast<milliseconds>(user.longest_wait).count()},
                                 {"running", user.running},
                                 {"tokens", user.tokens},
                                 {"share_percent", tokens == 0 ? 0 : user.tokens * 100 / tokens}});
  }
  json::value interval;
  if (queue.interval) interval = duration_cast<milliseconds>(*queue.interval).count();
  return {{"waiting", queue.waiting},
          {"longest_wait_ms", duration_cast<milliseconds>(queue.longest_wait).count()},
          {"turn_every_ms", std::move(interval)},
          {"users", std::move(shown)}};
}

json::object show_model(const std::string& model, const ShownPlaces& places) {
  const MonoTime now = Mono::now();
  json::array all;
  std::int64_t free_slots = 0;
  for (const auto& [named, place] : places) {
    if (place.reachable) free_slots += place.free_slots;
    all.push_back(show_place(std::get<1>(named), std::get<0>(named), place, now));
  }
  const bool served = std::ranges::any_of(places, [](const auto& one) { return one.second.reachable; });
  return {{"name", model},
          {"state", served ? "served" : "unreachable"},
          {"free_slots", free_slots},
          {"places", std::move(all)}};
}

}  // namespace

json::array show_models(Workers& workers) {
  std::vector<std::vector<ShownModel>> views;
  std::map<std::string, upstream::QueueHome::Seen> queues;  // each has one home
  std::mutex mutex;
  workers.run_all([&](WorkerThread& worker) {
    std::vector<ShownModel> view = seen_by(worker.worker().pool);
    std::vector<upstream::QueueHome::Seen> at_home = worker.worker().pool.queue_home().seen();
    const std::lock_guard lock(mutex);
    views.push_back(std::move(view));
    for (auto& queue : at_home) queues.emplace(queue.model, std::move(queue));
  });
  std::map<std::string, ShownPlaces> served;
  for (const auto& view : views)
    for (const auto& [model, places] : view) add_places(places, served[model]);
  json::array models;
  for (const auto& [model, places] : served) {
    json::object shown = show_model(model, places);
    const auto queue = queues.find(model);
    shown["queue"] = show_queue(queue != queues.end() ? queue->second : upstream::QueueHome::Seen{});
    models.push_back(std::move(shown));
  }
  return models;
}

json::array show_troubles(std::initializer_list<const Outages*> of) {
  json::array shown;
  for (const Outages* const outages : of) {
    for (const Outages::Trouble& trouble : outages->troubles())
      shown.push_back(json::object{{"upstream", trouble.upstream},
                                   {"trouble", trouble.what},
                                   {"why", trouble.why},
                                   {"seconds", trouble.lasts.count()}});
  }
  return shown;
}

void show(const Accounting& accounting, json::object& into) {
  const Accounting::Troubles troubles = accounting.troubles();
  if (const journal::Journal* journal = accounting.journal())
    into["journal"] = {{"open_calls", journal->open_calls()},
                       {"unjournalled", journal->unjournalled()},
                       {"full", journal->full()},
                       {"trouble", troubles.of_journal}};
  into["audit"] = {{"recorded", accounting.recorded()},
                   {"stored", accounting.stored()},
                   {"dropped", accounting.dropped()},
                   {"trouble", troubles.of_store}};
}

std::string show(const net::Endpoint& endpoint) {
  std::ostringstream text;
  text << endpoint;
  return text.str();
}

}  // namespace sluice::server
