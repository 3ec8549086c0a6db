#include "http/connect_race.h"

#include <algorithm>

namespace sluice::http {
namespace {

constexpr std::chrono::milliseconds kAttemptTime{250};  // RFC 8305's Connection Attempt Delay

// What the attempts and the one who waits for them share.
struct Race {
  explicit Race(net::Loop& loop_) : loop(loop_), changed(loop_) {}

  net::Loop& loop;
  net::Signal changed;
  RaceResult result;
  std::size_t running = 0;
  std::size_t failed = 0;
  bool over = false;
};

Task<void> attempt(std::shared_ptr<Race> race, net::Endpoint endpoint, net::Deadline deadline) {
  Result<std::unique_ptr<net::Stream>> stream = co_await net::Stream::connect(race->loop, endpoint, deadline);
  --race->running;
  if (!stream) {
    ++race->failed;
    race->result.error = stream.error();
  } else if (race->over || race->result.stream) {
    (*stream)->close();
  } else {
    race->result.stream = std::move(*stream);
    race->result.endpoint = endpoint;
  }
  race->changed.notify();
}

}  // namespace

Task<RaceResult> connect_race(net::Loop& loop, net::TaskGroup& tasks, std::span<const net::Endpoint> endpoints,
                              net::Deadline deadline) {
  if (endpoints.size() == 1) {  // most servers: nobody to race with
    Result<std::unique_ptr<net::Stream>> only = co_await net::Stream::connect(loop, endpoints.front(), deadline);
    if (!only) co_return RaceResult{.stream = {}, .endpoint = {}, .error = only.error(), .beaten = {}};
    co_return RaceResult{.stream = std::move(*only), .endpoint = endpoints.front(), .error = {}, .beaten = {}};
  }
  const auto race = std::make_shared<Race>(loop);  // shared: an attempt may end behind the race
  std::size_t begun = 0;
  while (!race->result.stream && (begun < endpoints.size() || race->running != 0)) {
    net::Deadline next = net::Deadline::never();  // each attempt ends by its own
    if (begun < endpoints.size()) {
      ++race->running;
      tasks.spawn(attempt(race, endpoints[begun++], deadline));
      next = net::Deadline::after(kAttemptTime);
    }
    const bool more = begun < endpoints.size();
    for (const std::size_t failed = race->failed; !race->result.stream && race->failed == failed;) {
      if (co_await race->changed.wait(more ? next : net::Deadline::never()) == net::Wake::kDeadline) break;
    }
  }
  race->over = true;
  RaceResult result = std::move(race->result);
  for (const net::Endpoint& endpoint : endpoints.first(begun)) {
    if (!result.stream || endpoint != result.endpoint) result.beaten.push_back(endpoint);
  }
  co_return result;
}

}  // namespace sluice::http
