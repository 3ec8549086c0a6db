// What the log says of direct upstreams that cannot be reached, and of those that can again.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "observe/log.h"

namespace sluice::server {

// Every worker looks after each upstream for itself; what they find becomes one line at the beginning of an outage and
// one at its end.
// Thread:   any. The lock is taken by those who look, a few times a minute, and by no call.
// Lifetime: the log outlives it.
class Outages final {
 public:
  explicit Outages(observe::Log& log) noexcept : log_(log) {}

  // What a look by `worker` found; called for each of them. `why`: it cannot be reached. An outage that begins within
  // ten seconds of the last one that was told is told behind them, if it lasts.
  void away(const std::string& upstream, unsigned worker, std::string_view why);
  void there(const std::string& upstream, unsigned worker);
  // The worker looks no more: a reload has replaced or dropped the upstream.
  void forget(const std::string& upstream, unsigned worker);

 private:
  struct Outage {
    std::set<unsigned> workers;  // that cannot reach it
    MonoTime began{};
    MonoTime told{};
    bool is_told = false;
  };

  observe::Log& log_;
  std::mutex mutex_;
  std::map<std::string, Outage> by_upstream_;
};

}  // namespace sluice::server
