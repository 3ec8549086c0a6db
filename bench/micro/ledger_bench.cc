// What one call costs in limits and budgets.
#include <benchmark/benchmark.h>

#include "base/clock.h"
#include "ledger/ledger.h"

namespace {

using namespace sluice;

// One key of one user of one tenant, each with limits and a budget: three of both, as in the macro benchmark.
struct Bench {
  SystemClock clock;
  ledger::Ledger ledger{clock, {.slice = 2'048}};
  ledger::Scopes scopes{.key = 0, .user = 0, .tenant = 0, .model = 0, .user_id = 21, .user_name = "ada"};

  Bench() {
    const LimitSpec limits{.requests_per_minute = 1'000'000'000, .tokens_per_minute = 1'000'000'000'000, .concurrency = 1'000'000};
    const std::vector<BudgetSpec> budgets{
        {.unit = BudgetUnit::kTokens, .period = BudgetPeriod::kMonth, .amount = 1'000'000'000'000'000, .soft = false}};
    for (const Scope scope : {Scope::kKey, Scope::kUser, Scope::kTenant}) {
      ledger.set_scope(scope, 0, 21, "ada", limits, budgets);
    }
  }
};

void BM_AdmitAndSettle(benchmark::State& state) {
  Bench bench;
  const Usage usage{.source = UsageSource::kMeasured, .prompt_tokens = 25, .completion_tokens = 16};
  for (auto _ : state) {
    ledger::Ticket ticket;
    const auto refusal = bench.ledger.take_limits(ticket, bench.scopes, 25);
    const auto grant = bench.ledger.reserve(ticket, bench.scopes,
                                            {.prompt = 25, .output_cap = 256, .choices = 1, .streamed = true, .cap_given = true});
    bench.ledger.settle(ticket, usage);
    bench.ledger.release_limits(ticket, usage);
    if (refusal.refused() || grant.refusal.refused()) return state.SkipWithError("refused");
  }
}
BENCHMARK(BM_AdmitAndSettle)->ThreadRange(1, 2);

// What each streamed event adds.
void BM_CountAndExtend(benchmark::State& state) {
  Bench bench;
  ledger::Ticket ticket;
  static_cast<void>(bench.ledger.take_limits(ticket, bench.scopes, 25));
  static_cast<void>(bench.ledger.reserve(ticket, bench.scopes, {.prompt = 25, .output_cap = 1'000'000'000, .streamed = true}));
  std::uint64_t tokens = 0;
  for (auto _ : state) {
    ++tokens;
    bench.ledger.count_output(ticket, tokens);
    benchmark::DoNotOptimize(bench.ledger.extend(ticket, tokens));
  }
  bench.ledger.settle(ticket, {});
  bench.ledger.release_limits(ticket, {});
}
BENCHMARK(BM_CountAndExtend);

}  // namespace
