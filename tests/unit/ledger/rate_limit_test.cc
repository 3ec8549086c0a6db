#include <thread>

#include "unit/ledger/fixture.h"

namespace sluice::ledger {
namespace {

class RateLimits : public LedgerTest {};

TEST_F(RateLimits, RequestsPerMinuteAllowABurstOfAMinuteAndThenPace) {
  key_limits({.requests_per_minute = 7, .tokens_per_minute = {}, .concurrency = {}});
  for (int i = 0; i < 7; ++i) {
    Ticket ticket;
    EXPECT_FALSE(ledger.take_limits(ticket, kCall, 0).refused()) << i;
    EXPECT_EQ(ticket.requests.remaining, 6u - i);
    ledger.release_limits(ticket, {});
  }
  Ticket ticket;
  const Refusal refusal = ledger.take_limits(ticket, kCall, 0);
  EXPECT_EQ(refusal.kind, RefusalKind::kRequests);
  EXPECT_EQ(refusal.left, 0u);
  EXPECT_NEAR(static_cast<double>(refusal.retry_after.count()), 60'000.0 / 7, 2);
  EXPECT_TRUE(ticket.empty());
  clock.pass(refusal.retry_after);
  EXPECT_FALSE(ledger.take_limits(ticket, kCall, 0).refused()) << "the moment it named is the moment it works";
  ledger.release_limits(ticket, {});
}

TEST_F(RateLimits, AnIdleHourIsWorthOneMinute) {
  key_limits({.requests_per_minute = 3, .tokens_per_minute = {}, .concurrency = {}});
  clock.pass(hours(1));
  int served = 0;
  for (int i = 0; i < 10; ++i) {
    Ticket ticket;
    served += !ledger.take_limits(ticket, kCall, 0).refused();
    ledger.release_limits(ticket, {});
  }
  EXPECT_EQ(served, 3);
}

TEST_F(RateLimits, WallClockJumpsOpenAndCloseNothing) {
  key_limits({.requests_per_minute = 1, .tokens_per_minute = {}, .concurrency = {}});
  Ticket ticket;
  EXPECT_FALSE(ledger.take_limits(ticket, kCall, 0).refused());
  ledger.release_limits(ticket, {});
  clock.set_wall(at(2030, 1, 1));
  EXPECT_TRUE(ledger.take_limits(ticket, kCall, 0).refused());
  clock.set_wall(at(2020, 1, 1));
  clock.pass(seconds(60));
  EXPECT_FALSE(ledger.take_limits(ticket, kCall, 0).refused());
  ledger.release_limits(ticket, {});
}

TEST_F(RateLimits, APromptAboveTheBurstPassesAndItsRestIsDebt) {
  key_limits({.requests_per_minute = {}, .tokens_per_minute = 1'000, .concurrency = {}});
  Ticket ticket;
  EXPECT_FALSE(ledger.take_limits(ticket, kCall, 5'000).refused());
  EXPECT_EQ(ticket.tokens.remaining, 0u);
  ledger.count_output(ticket, 500);
  ledger.release_limits(ticket, measured(5'000, 500));
  const Refusal refusal = ledger.take_limits(ticket, kCall, 1);
  EXPECT_EQ(refusal.kind, RefusalKind::kTokens);
  EXPECT_EQ(refusal.retry_after, seconds(60)) << "never more than a minute, whatever the debt";
  clock.pass(std::chrono::minutes(4) +
             seconds(29));  // 5,500 tokens take five and a half minutes, the last one is the burst
  EXPECT_TRUE(ledger.take_limits(ticket, kCall, 1).refused());
  clock.pass(seconds(2));
  EXPECT_FALSE(ledger.take_limits(ticket, kCall, 1).refused());
  ledger.release_limits(ticket, measured(1, 0));
}

TEST_F(RateLimits, SettlingGivesBackWhatWasChargedTooMuchButNeverMoreThanABurst) {
  key_limits({.requests_per_minute = {}, .tokens_per_minute = 1'000, .concurrency = {}});
  Ticket ticket;
  ASSERT_FALSE(ledger.take_limits(ticket, kCall, 900).refused());
  EXPECT_EQ(ticket.tokens.remaining, 100u);
  clock.pass(std::chrono::minutes(2));  // the charge has flowed off
  ledger.release_limits(ticket, measured(10, 0));
  ASSERT_FALSE(ledger.take_limits(ticket, kCall, 1'000).refused());
  EXPECT_EQ(ticket.tokens.remaining, 0u) << "the refund may not make a minute worth two";
  ledger.release_limits(ticket, measured(100, 0));
  ASSERT_FALSE(ledger.take_limits(ticket, kCall, 0).refused());
  EXPECT_EQ(ticket.tokens.remaining, 900u);
  ledger.release_limits(ticket, {});
}

TEST_F(RateLimits, CompletionTokensDelayLaterCalls) {
  key_limits({.requests_per_minute = {}, .tokens_per_minute = 600, .concurrency = {}});
  Ticket ticket;
  ASSERT_FALSE(ledger.take_limits(ticket, kCall, 0).refused());
  ledger.count_output(ticket, 300);
  ledger.count_output(ticket, 300);  // the same count twice charges once
  ledger.count_output(ticket, 900);
  ledger.release_limits(ticket, measured(0, 900));
  const Refusal refusal = ledger.take_limits(ticket, kCall, 1);
  EXPECT_EQ(refusal.kind, RefusalKind::kTokens);
  EXPECT_NEAR(static_cast<double>(refusal.retry_after.count()), 30'100, 10);  // 301 tokens too many, ten a second
}

TEST_F(RateLimits, ALimitThatRefusesLeavesNothingTakenOnTheOthers) {
  key_limits({.requests_per_minute = 10, .tokens_per_minute = 1'000, .concurrency = 5});
  ledger.set_scope(Scope::kUser, 0, 21, "ada", {.requests_per_minute = 10, .tokens_per_minute = {}, .concurrency = 1},
                   {});
  ledger.set_scope(Scope::kTenant, 0, 31, "acme",
                   {.requests_per_minute = {}, .tokens_per_minute = {}, .concurrency = 1}, {});
  Ticket first, second;
  ASSERT_FALSE(ledger.take_limits(first, kCall, 100).refused());
  const auto before = ledger.explain(kCall);
  const Refusal refusal = ledger.take_limits(second, kCall, 100);
  EXPECT_EQ(refusal.kind, RefusalKind::kConcurrency);
  EXPECT_EQ(refusal.scope, Scope::kUser);
  EXPECT_NE(describe(refusal).find("user ada"), std::string::npos) << describe(refusal);
  const auto after = ledger.explain(kCall);
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i].left, after[i].left) << i;
  ledger.release_limits(first, measured(100, 0));
  EXPECT_FALSE(ledger.take_limits(second, kCall, 100).refused());
  ledger.release_limits(second, {});
}

TEST_F(RateLimits, ViewsTellTheTightestLimitAlsoOfARefusal) {
  key_limits({.requests_per_minute = 100, .tokens_per_minute = 500, .concurrency = {}});
  ledger.set_model(0, "m",
                   {.limits = {.requests_per_minute = 2, .tokens_per_minute = 10'000, .concurrency = {}},
                    .budgets = {},
                    .user_budgets = {},
                    .price = {}});
  Ticket ticket;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ledger.take_limits(ticket, kCall, 10).refused(), i == 2);
    EXPECT_EQ(ticket.requests.limit, 2u);
    EXPECT_EQ(ticket.requests.remaining, i == 0 ? 1u : 0u);
    EXPECT_EQ(ticket.tokens.limit, 500u);
    ledger.release_limits(ticket, measured(10, 0));
  }
  EXPECT_EQ(ticket.requests.reset, std::chrono::seconds(60));
}

TEST_F(RateLimits, AReloadKeepsWhatWasCharged) {
  key_limits({.requests_per_minute = 2, .tokens_per_minute = {}, .concurrency = 4});
  Ticket running, ticket;
  ASSERT_FALSE(ledger.take_limits(running, kCall, 0).refused());
  key_limits({.requests_per_minute = 2, .tokens_per_minute = {}, .concurrency = 1});
  EXPECT_EQ(ledger.take_limits(ticket, kCall, 0).kind, RefusalKind::kConcurrency);
  ledger.release_limits(running, {});
  EXPECT_FALSE(ledger.take_limits(ticket, kCall, 0).refused());
  ledger.release_limits(ticket, {});
  EXPECT_EQ(ledger.take_limits(ticket, kCall, 0).kind, RefusalKind::kRequests);
}

TEST_F(RateLimits, SlotsNeverRunOverUnderThreads) {
  key_limits({.requests_per_minute = {}, .tokens_per_minute = {}, .concurrency = 3});
  std::atomic<int> running{0}, worst{0}, served{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5'000; ++i) {
        Ticket ticket;
        if (ledger.take_limits(ticket, kCall, 0).refused()) continue;
        const int now = ++running;
        for (int seen = worst; now > seen && !worst.compare_exchange_weak(seen, now);) {
        }
        ++served;
        --running;
        ledger.release_limits(ticket, {});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(worst, 3);
  EXPECT_GT(served, 0);
  EXPECT_EQ(ledger.explain(kCall).at(0).used, 0u);
}

}  // namespace
}  // namespace sluice::ledger
