// What it costs to choose a call's place: among 1,000 models, of which each has 1,000 places in ranks, with a breaker and
// a time to first token for each.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "upstream/pool.h"

namespace {

using namespace sluice;

class BenchPlace final : public upstream::Place {
 public:
  explicit BenchPlace(std::string name) : name_(std::move(name)) {}
  std::string_view name() const noexcept override { return name_; }
  const char* kind() const noexcept override { return "upstream"; }
  upstream::CallTimes times() const noexcept override { return {}; }
  bool reachable() const noexcept override { return true; }
  std::int64_t slots() const noexcept override { return slots_.count(); }
  std::int64_t free_slots() const noexcept override { return slots_.free(); }
  bool take_slot() noexcept override { return slots_.take(); }
  void free_slot() noexcept override { slots_.give(); }
  std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest&, net::Signal&) noexcept override {
    return nullptr;
  }

 private:
  std::string name_;
  upstream::Slots slots_{1'000};
};

enum class Sickness : std::uint8_t { kNone, kEveryThird };

// Ranks of ten, a hundred and the rest.
void choose(benchmark::State& state, Sickness sickness) {
  constexpr std::uint32_t kModels = 1'000, kPlaces = 1'000;
  net::Loop loop;
  upstream::Pool pool(loop);
  std::vector<std::shared_ptr<upstream::Place>> places;
  std::vector<std::shared_ptr<upstream::Standing>> standings;
  const upstream::BreakerSettings settings;
  const MonoTime now = Mono::now();
  for (std::uint32_t i = 0; i < kPlaces; ++i) {
    places.push_back(std::make_shared<BenchPlace>("place-" + std::to_string(i)));
    standings.push_back(std::make_shared<upstream::Standing>());
    standings.back()->first_token.note(std::chrono::microseconds(100'000 + i), now);
    for (std::uint32_t n = 0; sickness == Sickness::kEveryThird && i % 3 == 0 && n < settings.failures; ++n)
      (void)standings.back()->breaker.failed(now, now, upstream::Fault::kConnect, settings);
  }
  upstream::Ranks route;
  for (const auto& [from, to] : {std::pair(0u, 10u), std::pair(10u, 110u), std::pair(110u, kPlaces)}) {
    upstream::Ranks::Rank& rank = route.ranks.emplace_back();
    for (std::uint32_t at = from; at < to; ++at) rank.options.push_back({at, at - from + 1});
  }
  auto models = std::make_shared<upstream::Models>();
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < kModels; ++i) {
    names.push_back("model-" + std::to_string(i));
    upstream::KnownModel& known = models->known[names.back()];
    known.everyone = true;
    known.places = places;
    known.standings = standings;
    known.routes = {route};
  }
  pool.set_models(std::move(models));
  std::size_t at = 0;
  for (auto _ : state) {
    upstream::Lease lease;
    const upstream::Supply supply = pool.take({.model = names[at = (at + 7) % kModels]}, {}, lease);
    if (supply != upstream::Supply::kTaken) return state.SkipWithError("no place");
  }
}

void BM_ChooseAPlace(benchmark::State& state) { choose(state, Sickness::kNone); }
BENCHMARK(BM_ChooseAPlace);

void BM_ChooseAPlaceBesideSickOnes(benchmark::State& state) { choose(state, Sickness::kEveryThird); }
BENCHMARK(BM_ChooseAPlaceBesideSickOnes);

}  // namespace
