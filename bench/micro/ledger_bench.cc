// What one call costs in limits and budgets.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/clock.h"
#include "journal/journal.h"
#include "ledger/ledger.h"

namespace {

using namespace sluice;

// One key of one user of one tenant, each with limits and a budget: three of both, as in the macro benchmark.
struct Bench {
  SystemClock clock;
  ledger::Ledger ledger{clock, {.slice = 2'048}};
  ledger::Scopes scopes{.key = 0, .user = 0, .tenant = 0, .model = 0, .user_id = 21, .user_name = "ada"};

  Bench() {
    const LimitSpec limits{
        .requests_per_minute = 1'000'000'000, .tokens_per_minute = 1'000'000'000'000, .concurrency = 1'000'000};
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
    const auto grant = bench.ledger.reserve(
        ticket, bench.scopes, {.prompt = 25, .output_cap = 256, .choices = 1, .streamed = true, .cap_given = true});
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
  static_cast<void>(
      bench.ledger.reserve(ticket, bench.scopes, {.prompt = 25, .output_cap = 1'000'000'000, .streamed = true}));
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

// The worst that a call is held to: six budgets in both units, four scopes with every limit.
void BM_AdmitAndSettleSixBudgetsFourLimits(benchmark::State& state) {
  Bench bench;
  const LimitSpec limits{
      .requests_per_minute = 1'000'000'000, .tokens_per_minute = 1'000'000'000'000, .concurrency = 1'000'000};
  const BudgetSpec tokens{.unit = BudgetUnit::kTokens, .period = BudgetPeriod::kMonth, .amount = 1'000'000'000'000'000};
  const BudgetSpec money{.unit = BudgetUnit::kMicroUsd, .period = BudgetPeriod::kDay, .amount = 1'000'000'000'000'000};
  bench.ledger.set_scope(Scope::kKey, 0, 21, "ada", limits, {tokens, money});
  bench.ledger.set_model(
      0, "m",
      {.limits = limits,
       .budgets = {tokens},
       .user_budgets = {money},
       .price = {.prompt = 2'500'000, .cached = 1'250'000, .completion = 10'000'000, .reasoning = 10'000'000}});
  const Usage usage{.source = UsageSource::kMeasured, .prompt_tokens = 25, .completion_tokens = 16};
  for (auto _ : state) {
    ledger::Ticket ticket;
    const auto refusal = bench.ledger.take_limits(ticket, bench.scopes, 25);
    const auto grant = bench.ledger.reserve(
        ticket, bench.scopes, {.prompt = 25, .output_cap = 256, .choices = 1, .streamed = true, .cap_given = true});
    if (ticket.budget_count != 6 || ticket.limit_count != 4) return state.SkipWithError("not what it says");
    bench.ledger.settle(ticket, usage);
    bench.ledger.release_limits(ticket, usage);
    if (refusal.refused() || grant.refusal.refused()) return state.SkipWithError("refused");
  }
}
BENCHMARK(BM_AdmitAndSettleSixBudgetsFourLimits);

// One call in the journal: its admit and its end with all texts, two records. The journal's own threads run beside it.
struct JournalBench {
  std::string dir =
      (std::filesystem::temp_directory_path() / ("sluice_bench_journal_" + std::to_string(::getpid()))).string();
  SystemClock clock;
  std::unique_ptr<journal::Journal> journal;

  JournalBench() {
    auto opened = journal::Journal::open({.dir = dir, .boot_id = 1}, clock, nullptr);
    if (opened.ok()) journal = *std::move(opened);
  }
  ~JournalBench() {
    journal.reset();
    std::filesystem::remove_all(dir);
  }
};

void BM_JournalAppend(benchmark::State& state) {
  JournalBench bench;
  if (bench.journal == nullptr) return state.SkipWithError("no journal");
  std::uint64_t number = 0, waited = 0;
  for (auto _ : state) {
    const auto admission = bench.journal->admit({.number = ++number, .prompt_estimate = 25, .model = "llama3.1:8b"});
    if (admission.outcome != journal::Journal::Admission::Outcome::kJournalled) {
      // Faster than segments can be made: nobody serves a million calls a second on a core. Wait outside the count.
      state.PauseTiming();
      while (bench.journal->full()) ::usleep(1'000);
      ::usleep(1'000);
      ++waited;
      state.ResumeTiming();
      continue;
    }
    journal::AuditRecord record;
    record.boot_id = 1;
    record.number = number;
    record.admit_segment = admission.segment;
    record.usage = {.source = UsageSource::kMeasured, .prompt_tokens = 25, .completion_tokens = 16};
    record.request_id = "req_0123456789abcdef0123456789abcdef";
    record.tenant = "acme";
    record.user = "ada";
    record.channel = "api";
    record.endpoint = "chat.completions";
    record.model = record.model_served = "llama3.1:8b";
    record.upstream = "gpu-1";
    record.client_ip = "192.0.2.0/24";
    bench.journal->record(std::move(record));
  }
  state.counters["records"] = benchmark::Counter(static_cast<double>(number - waited) * 2, benchmark::Counter::kIsRate);
}
BENCHMARK(BM_JournalAppend)->Iterations(400'000);

}  // namespace
