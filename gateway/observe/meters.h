// The gateway's own series by name, so that those who count need no string.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/usage.h"
#include "observe/metrics.h"

namespace sluice::observe {

// The counters of one configured model.
struct ModelMeters {
  CounterId prompt, cached, completion, reasoning;
  CounterId queued;  // calls that had to wait for a slot
  GaugeId waiting;   // calls that wait for one now
};

// Thread:   immutable once made, but for add_model() on the control thread.
// Lifetime: of `metrics`.
class Meters final {
 public:
  // `endpoints`: their names, in the order of their indexes; an index beyond counts as "other".
  Meters(Metrics& metrics, std::span<const std::string_view> endpoints);

  // A call ended: with which status, after how long.
  [[nodiscard]] CounterId requests(std::size_t endpoint, std::uint16_t status) const noexcept;
  // For a configured name only: what a client asks for may carry anything.
  [[nodiscard]] ModelMeters add_model(std::string_view configured_name);

  HistogramId ttft, duration;
  HistogramId queue_wait;   // of calls that had to wait for a slot
  GaugeId waiting;          // for one now
  CounterId queue_refused;  // calls that the queue did not take
  GaugeId streams;          // running now
  GaugeId connections;      // open now
  GaugeId loop_lag;         // microseconds, of each worker
  CounterId unauthorized;   // 401s
  CounterId limited;        // 429 rate_limit_exceeded
  CounterId over_budget;    // 429 insufficient_quota
  CounterId clients_gone;
  CounterId upstream_failures;
  CounterId handshakes_refused;      // too many waited
  CounterId ejections;               // of places, by their breakers
  CounterId faults;                  // exceptions that left a task: bugs
  std::array<CounterId, 15> ends{};  // by EndReason

  [[nodiscard]] CounterId end(EndReason reason) const noexcept { return ends[static_cast<std::size_t>(reason)]; }

 private:
  static constexpr std::array<std::uint16_t, 19> kStatuses{200, 400, 401, 403, 404, 405, 408, 413, 415, 421,
                                                           429, 431, 499, 500, 502, 503, 504, 529, 0};
  Metrics& metrics_;
  std::vector<std::array<CounterId, kStatuses.size()>> requests_;
};

}  // namespace sluice::observe
