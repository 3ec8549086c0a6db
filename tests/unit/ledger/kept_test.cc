// What a call holds while its place goes on with it by itself: handed over when it is answered, held again after a restart.
#include "unit/ledger/fixture.h"

namespace sluice::ledger {
namespace {

class KeptCall : public LedgerTest {};

TEST_F(KeptCall, HoldsItsReservationBehindTheCallThatBeganIt) {
  ledger.set_scope(Scope::kKey, 0, 1, "", {.requests_per_minute = {}, .tokens_per_minute = 10'000, .concurrency = 1},
                   {tokens(5'000)});
  Ticket call, kept;
  ASSERT_FALSE(ledger.take_limits(call, kCall, 100).refused());
  ASSERT_FALSE(ledger.reserve(call, kCall, {.prompt = 100, .output_cap = 900, .cap_given = true}).refusal.refused());
  Ledger::hand_over(call, kept);
  ledger.release_limits(call, {});
  ledger.settle(call, {});
  EXPECT_TRUE(call.empty());
  EXPECT_EQ(key_state().reserved, 1'000u);
  Ticket next;
  EXPECT_FALSE(ledger.take_limits(next, kCall, 100).refused()) << "its slot is free";
  EXPECT_EQ(next.tokens.remaining, 9'800u) << "its prompt stays charged";
  ledger.release_limits(next, measured(100, 0));
  ledger.release_limits(kept, measured(100, 400));
  ledger.settle(kept, measured(100, 400));
  EXPECT_EQ(ledger.reserved(), 0u);
  EXPECT_EQ(key_state().used, 500u);
  ASSERT_FALSE(ledger.take_limits(next, kCall, 100).refused());
  EXPECT_EQ(next.tokens.remaining, 9'300u) << "what it wrote is charged to the minute at its end";
  ledger.release_limits(next, measured(100, 0));
}

TEST_F(KeptCall, IsChargedByTheClassThatItWasReservedBy) {
  const Price price{
      .prompt = 1'000'000, .cached = 1'000'000, .completion = 2'000'000, .reasoning = 2'000'000, .batch_percent = 50};
  ledger.set_model(0, "m", {.limits = {}, .budgets = {}, .user_budgets = {}, .price = price});
  key_budget({micro_usd(1'000'000)});
  const Ask ask{.prompt = 100, .output_cap = 900, .cap_given = true, .price_class = PriceClass::kBatch};
  Ticket call, kept;
  ASSERT_FALSE(ledger.reserve(call, kCall, ask).refusal.refused());
  Ledger::hand_over(call, kept);
  ledger.settle(call, {});
  EXPECT_EQ(key_state().reserved, 950u);
  ledger.settle(kept, measured(100, 400));
  EXPECT_EQ(key_state().used, 450u);
}

TEST_F(KeptCall, IsHeldAgainByAnotherProcessAlsoWhereThereIsNoRoom) {
  key_budget({tokens(500), micro_usd(1'000'000), tokens(100, BudgetPeriod::kDay)});
  const Price price{.prompt = 1'000'000, .cached = 0, .completion = 2'000'000, .reasoning = 2'000'000};
  Ticket today, yesterday;
  ledger.hold_again(today, kCall, {.day_us = ledger.day_us(), .price = price, .prompt = 100, .output = 900});
  EXPECT_EQ(key_state().reserved, 1'000u) << "beyond its amount";
  EXPECT_EQ(today.budget_count, 3u);
  EXPECT_TRUE(ledger.reserve(yesterday, kCall, {.prompt = 1, .output_cap = 1}).refusal.refused());
  constexpr std::int64_t kDayUs = 24LL * 3600 * 1'000'000;
  ledger.hold_again(yesterday, kCall, {.day_us = ledger.day_us() - kDayUs, .price = {}, .prompt = 7, .output = 0});
  EXPECT_EQ(yesterday.budget_count, 1u)
      << "of a day that is over nothing is held, and of money nothing without a price";
  ledger.settle(yesterday, measured(7, 0));
  ledger.settle(today, measured(100, 50));
  EXPECT_EQ(ledger.reserved(), 0u);
  std::uint64_t this_month = 0;
  for (const Explanation& line : ledger.explain(kCall))
    if (line.unit == BudgetUnit::kTokens && line.period == BudgetPeriod::kMonth) this_month = line.used;
  EXPECT_EQ(this_month, 157u);
  EXPECT_EQ(key_state().used, 150u) << "today";
}

}  // namespace
}  // namespace sluice::ledger
