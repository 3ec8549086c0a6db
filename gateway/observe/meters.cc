#include "observe/meters.h"

#include <algorithm>
#include <string>

namespace sluice::observe {

Meters::Meters(Metrics& m, std::span<const std::string_view> endpoints) : metrics_(m) {
  const auto add_endpoint = [this](std::string_view name) {
    auto& row = requests_.emplace_back();
    for (std::size_t i = 0; i < kStatuses.size(); ++i) {
      const std::string status = kStatuses[i] == 0 ? "other" : std::to_string(kStatuses[i]);
      row[i] = metrics_.counter("sluice_requests_total", "Calls that ended.",
                                label("endpoint", name) + "," + label("status", status));
    }
  };
  for (const std::string_view name : endpoints) add_endpoint(name);
  add_endpoint("other");
  for (std::size_t i = 0; i < ends.size(); ++i) {
    ends[i] = m.counter("sluice_ends_total", "Calls by how they ended.",
                        label("reason", to_string(static_cast<EndReason>(i))));
  }
  ttft = m.histogram("sluice_time_to_first_token_seconds",
                     "From the request's head to the first byte of its answer's body.");
  duration = m.histogram("sluice_request_duration_seconds", "From the request's head to the end of its answer.");
  queue_wait = m.histogram("sluice_queue_wait_seconds", "How long calls waited that found no free slot.");
  waiting = m.gauge("sluice_queue_waiting", "Calls that wait for a slot, or for a place that serves their model.");
  queue_refused = m.counter("sluice_queue_refused_total", "Calls that a full or slow queue did not take.");
  streams = m.gauge("sluice_streams", "Streamed answers under way.");
  connections = m.gauge("sluice_connections", "Open client connections.");
  loop_lag = m.gauge("sluice_loop_lag_microseconds",
                     "How late a worker's loop was at worst in the last ten to twenty seconds.", {}, Across::kWorker);
  unauthorized = m.counter("sluice_unauthorized_total", "Calls refused for want of a good key.");
  limited = m.counter("sluice_rate_limited_total", "Calls refused by a rate limit.");
  over_budget = m.counter("sluice_over_budget_total", "Calls refused by a budget that is spent.");
  clients_gone = m.counter("sluice_clients_gone_total", "Calls whose client left before the end.");
  upstream_failures = m.counter("sluice_upstream_failures_total", "Calls whose upstream died or broke its protocol.");
  handshakes_refused = m.counter("sluice_handshakes_refused_total",
                                 "Connections closed in their TLS handshake because too many waited.");
  ejections = m.counter("sluice_ejections_total", "Times that a place was ejected because calls to it failed.");
  faults = m.counter("sluice_faults_total", "Faults of the gateway itself.");
}

CounterId Meters::requests(std::size_t endpoint, std::uint16_t status) const noexcept {
  const auto& row = requests_[std::min(endpoint, requests_.size() - 1)];
  const auto found = std::find(kStatuses.begin(), kStatuses.end(), status);
  return row[found == kStatuses.end() ? kStatuses.size() - 1 : static_cast<std::size_t>(found - kStatuses.begin())];
}

ModelMeters Meters::add_model(std::string_view name) {
  const auto counter = [&](std::string_view kind) {
    return metrics_.counter("sluice_tokens_total", "Tokens by configured model.",
                            label("model", name) + "," + label("kind", kind));
  };
  const std::string model = label("model", name);
  return {counter("prompt"),
          counter("cached"),
          counter("completion"),
          counter("reasoning"),
          metrics_.counter("sluice_model_queued_total", "Calls of a configured model that found no free slot.", model),
          metrics_.gauge("sluice_model_queue_waiting", "Calls that wait for a slot of a configured model.", model)};
}

}  // namespace sluice::observe
