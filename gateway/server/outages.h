// What the log says of direct upstreams with a trouble, such as one that cannot be reached, and of those that are over it.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "observe/log.h"

namespace sluice::server {

// Every worker looks after each upstream for itself; what they find becomes one line at the beginning of an outage and
// one at its end.
// Thread:   any. The lock is taken by those who look, a few times a minute, and by no call.
// Lifetime: the log outlives it.
class Outages final {
 public:
  // `begins` and `ends`: how the log calls the two, static.
  Outages(observe::Log& log, const char* begins, const char* ends) noexcept : log_(log), begins_(begins), ends_(ends) {}

  // What a look by `worker` found; called for each of them. `why`: of the trouble. An outage that begins within
  // ten seconds of the last one that was told is told behind them, if it lasts.
  void away(const std::string& upstream, unsigned worker, std::string_view why);
  void there(const std::string& upstream, unsigned worker);
  // The worker looks no more: a reload has replaced or dropped the upstream.
  void forget(const std::string& upstream, unsigned worker);

  struct Trouble {
    std::string upstream, what, why;
    std::chrono::seconds lasts{0};
  };
  // Every outage that goes on now, as some worker finds it.
  [[nodiscard]] std::vector<Trouble> troubles() const;

 private:
  struct Outage {
    std::set<unsigned> workers;  // that find it so
    MonoTime began{};
    MonoTime told{};
    std::string why;
    bool is_told = false;
  };

  observe::Log& log_;
  const char* const begins_;
  const char* const ends_;
  mutable std::mutex mutex_;
  std::map<std::string, Outage> by_upstream_;
};

}  // namespace sluice::server
