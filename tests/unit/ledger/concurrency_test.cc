// Many workers on one budget: the promise of the design, counted.
#include <random>
#include <thread>

#include "unit/ledger/fixture.h"

namespace sluice::ledger {
namespace {

class Concurrency : public LedgerTest {
 protected:
  // Runs `calls` calls on `threads` threads. Each gets a number and returns whether it was served.
  template <class F>
  void run(int threads, int calls, F&& call) {
    std::atomic<int> next{0};
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([&] {
        for (int n; (n = next++) < calls;) call(n);
      });
    }
    for (std::thread& worker : workers) worker.join();
  }
};

// 10,000 calls at once mean 10,000 tickets that are held together: a thread reserves for many calls before it settles
// any.
TEST_F(Concurrency, TenThousandCallsOnABudgetForAHundredOverspendNothing) {
  constexpr std::uint64_t kPrompt = 20, kOutput = 30;
  key_budget({tokens(100 * (kPrompt + kOutput))});
  ledger.set_scope(Scope::kUser, 0, 21, "ada", {}, {tokens(1'000'000)});
  std::atomic<int> served{0};
  run(8, 100, [&](int) {
    std::vector<std::unique_ptr<Ticket>> held;
    for (int i = 0; i < 100; ++i) {
      auto ticket = std::make_unique<Ticket>();
      // As the SDKs do: what is retryable is tried again, twice.
      for (int attempt = 0; attempt < 3; ++attempt) {
        const Grant grant = ledger.reserve(
            *ticket, kCall, {.prompt = kPrompt, .output_cap = kOutput, .streamed = i % 2 == 0, .cap_given = true});
        if (!grant.refusal.refused()) {
          held.push_back(std::move(ticket));
          break;
        }
        if (grant.refusal.kind == RefusalKind::kSpent) break;
        std::this_thread::yield();
      }
    }
    for (auto& ticket : held) {
      ledger.settle(*ticket, measured(kPrompt, kOutput));
      ++served;
    }
  });
  EXPECT_EQ(served, 100);
  EXPECT_EQ(key_state().used, 100u * (kPrompt + kOutput)) << "overspend 0, and nothing left unused";
  EXPECT_EQ(ledger.reserved(), 0u);
  Ticket late;
  EXPECT_EQ(ledger.reserve(late, kCall, {.prompt = kPrompt, .output_cap = kOutput, .cap_given = true}).refusal.kind,
            RefusalKind::kSpent)
      << "all is settled: a retry cannot help";
}

TEST_F(Concurrency, AnUpstreamThatIgnoresItsCapOverspendsOnlyByWhatItMeasuredTooMuch) {
  key_budget({tokens(5'000)});
  std::atomic<std::uint64_t> served{0}, beyond{0};
  run(8, 2'000, [&](int n) {
    Ticket ticket;
    if (ledger.reserve(ticket, kCall, {.prompt = 20, .output_cap = 30, .cap_given = true}).refusal.refused()) return;
    const std::uint64_t excess = static_cast<std::uint64_t>(n % 5) * 10;
    ledger.settle(ticket, measured(20, 30 + excess));
    beyond += excess;
    ++served;
  });
  EXPECT_EQ(key_state().used, served * 50 + beyond) << "all that was measured is charged";
  EXPECT_LE(key_state().used, 5'000 + beyond) << "spend ≤ limit + Σ (measured − reserved)";
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(Concurrency, StreamsThatExtendNeverSpendMoreThanIsThere) {
  key_budget({tokens(50'000), micro_usd(60'000)});
  ledger.set_model(0, "m",
                   {.limits = {},
                    .budgets = {tokens(55'000)},
                    .user_budgets = {},
                    .price = {.prompt = 1'000'000, .cached = 0, .completion = 1'000'000, .reasoning = 0}});
  ledger.set_slice(128);
  std::atomic<int> cut{0};
  run(8, 64, [&](int) {
    Ticket ticket;
    if (ledger.reserve(ticket, kCall, {.prompt = 10, .output_cap = 2'000, .streamed = true}).refusal.refused()) return;
    std::uint64_t counted = 0;
    while (counted < 2'000 && ledger.extend(ticket, counted) == Extended::kGranted) ++counted;
    if (counted < 2'000) ++cut;
    ledger.settle(ticket, measured(10, counted));
  });
  EXPECT_LE(key_state().used, 50'000u);
  EXPECT_GT(key_state().used, 49'900u);
  EXPECT_GT(cut, 0);
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(Concurrency, AmountsChangeAndMonthsTurnWhileCallsRun) {
  key_budget({tokens(10'000)});
  std::atomic<std::uint64_t> charged{0};
  std::atomic<bool> stop{false};
  std::thread control([&] {
    std::mt19937 random(1);
    for (int i = 0; !stop; ++i) {
      key_budget({tokens(5'000 + random() % 10'000), tokens(100'000, BudgetPeriod::kDay, i % 2 == 0)});
      ledger.set_model(0, "m",
                       {.limits = {}, .budgets = {}, .user_budgets = {tokens(8'000 + random() % 2'000)}, .price = {}});
      if (i % 16 == 0) clock.pass(hours(24));
      // No sweep() here: it waits for an hour of the clock before it frees a cell, and this clock makes hours of
      // nothing.
      std::this_thread::yield();
    }
  });
  run(4, 40'000, [&](int n) {
    Ticket ticket;
    Scopes scopes = kCall;
    scopes.user = static_cast<std::uint32_t>(n % 50);
    scopes.user_id = 1'000 + scopes.user;
    if (ledger.reserve(ticket, scopes, {.prompt = 5, .output_cap = 10, .streamed = true}).refusal.refused()) return;
    (void)ledger.extend(ticket, 7);
    ledger.settle(ticket, measured(5, 7));
    charged += 12;
  });
  stop = true;
  control.join();
  EXPECT_EQ(ledger.reserved(), 0u);
  std::uint64_t by_key = 0, by_user = 0;
  for (const BudgetState& state : ledger.snapshot()) {
    if (state.scope == Scope::kKey && state.period == BudgetPeriod::kMonth) by_key += state.settled;
    if (state.scope == Scope::kUserModel) by_user += state.settled;
  }
  // Months that were swept took their counts with them; none may be counted twice.
  EXPECT_LE(by_key, charged.load());
  EXPECT_LE(by_user, charged.load());
  EXPECT_GT(charged, 0u);
}

TEST_F(Concurrency, TokensPerMinuteAddUp) {
  key_limits({.requests_per_minute = {}, .tokens_per_minute = 60'000'000, .concurrency = {}});
  run(8, 20'000, [&](int n) {
    Ticket ticket;
    if (ledger.take_limits(ticket, kCall, 40).refused()) return;
    ledger.count_output(ticket, 10);
    ledger.release_limits(ticket, measured(static_cast<std::uint64_t>(20 + n % 41), 10));
  });
  Ticket ticket;
  ASSERT_FALSE(ledger.take_limits(ticket, kCall, 0).refused());
  std::uint64_t expected = 60'000'000;
  for (std::uint64_t n = 0; n < 20'000; ++n) expected -= 20 + n % 41 + 10;
  EXPECT_EQ(ticket.tokens.remaining, expected);
  ledger.release_limits(ticket, {});
}

}  // namespace
}  // namespace sluice::ledger
