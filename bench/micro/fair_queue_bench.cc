// What the fair queue costs where 1,000 users wait: a call that comes, the next turn, and what it used.
#include <benchmark/benchmark.h>

#include <list>

#include "upstream/fair_queue.h"

namespace sluice::upstream {
namespace {

class WaitingCall final : public FairQueue::Call {};

// One call has its turn and is settled, and its user's next one comes.
void OneTurnAmong(benchmark::State& state) {
  const auto users = static_cast<std::uint64_t>(state.range(0));
  const QueueBounds bounds{.calls = 1'000'000, .calls_per_user = 1'000};
  const auto any = [](const FairQueue::Call&) { return true; };
  std::list<WaitingCall> calls;
  FairQueue queue;
  std::uint64_t count = 0;
  const auto come = [&](FairQueue::Call& call, MonoTime now) {
    const FairQueue::Who who{.id = ++count % users, .tenant = {}, .user = {}};
    (void)queue.enter(call, who, {}, 100 + count % 900, bounds, now);
  };
  MonoTime now;
  for (std::uint64_t i = 0; i < 2 * users; ++i) come(calls.emplace_back(), now);
  for (auto _ : state) {
    now += std::chrono::milliseconds(1);
    FairQueue::Call* const next = queue.next(bounds, any);
    queue.serve(*next);
    queue.settle(*next, 200, now);
    come(*next, now);
  }
}
BENCHMARK(OneTurnAmong)->Arg(1)->Arg(100)->Arg(1'000);

}  // namespace
}  // namespace sluice::upstream
