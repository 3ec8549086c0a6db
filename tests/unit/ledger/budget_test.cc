#include <thread>

#include "unit/ledger/fixture.h"

namespace sluice::ledger {
namespace {

class Budgets : public LedgerTest {};

TEST_F(Budgets, ReservesPromptAndFirstSliceAndChargesWhatWasMeasured) {
  key_budget({tokens(100'000)});
  Ticket ticket;
  const Grant grant = ledger.reserve(ticket, kCall, {.prompt = 100, .output_cap = 32'768, .streamed = true});
  ASSERT_FALSE(grant.refusal.refused());
  EXPECT_EQ(grant.clamp_output_to, 0u) << "more is left than the cap: the body stays as it is";
  EXPECT_EQ(key_state().reserved, 100u + 2'048u);
  ledger.settle(ticket, measured(120, 30));
  EXPECT_EQ(key_state().used, 150u);
  EXPECT_EQ(key_state().reserved, 0u);
  ledger.settle(ticket, measured(120, 30));
  EXPECT_EQ(key_state().used, 150u) << "settled once";
}

TEST_F(Budgets, ClampsOnlyWhereLessIsLeftThanTheCap) {
  key_budget({tokens(1'000)});
  Ticket ticket;
  Grant grant = ledger.reserve(ticket, kCall, {.prompt = 100, .output_cap = 900, .streamed = true, .cap_given = true});
  EXPECT_EQ(grant.clamp_output_to, 0u);
  ledger.settle(ticket, {});
  grant = ledger.reserve(ticket, kCall,
                         {.prompt = 100, .output_cap = 903, .choices = 3, .streamed = true, .cap_given = true});
  EXPECT_EQ(grant.clamp_output_to, 300u) << "what is left, for each choice";
  ledger.settle(ticket, {});
}

TEST_F(Budgets, WhatCannotBeCutIsReservedWhole) {
  key_budget({tokens(10'000)});
  Ticket ticket;
  Grant grant = ledger.reserve(ticket, kCall, {.prompt = 0, .output_cap = 9'000, .cap_given = true});
  EXPECT_EQ(key_state().reserved, 9'000u);
  EXPECT_EQ(grant.clamp_output_to, 0u);
  ledger.settle(ticket, {});
  grant = ledger.reserve(ticket, kCall, {.prompt = 0, .output_cap = 32'768});
  EXPECT_EQ(key_state().reserved, 2'500u) << "without a cap of its own it leaves room for others";
  EXPECT_EQ(grant.clamp_output_to, 2'500u) << "and may then not generate more than it has reserved";
  ledger.settle(ticket, {});
}

TEST_F(Budgets, OneStreamDoesNotStarveTheOthersOfASmallBudget) {
  key_budget({tokens(5'000)});
  std::vector<std::unique_ptr<Ticket>> tickets;
  for (;;) {
    auto ticket = std::make_unique<Ticket>();
    if (ledger.reserve(*ticket, kCall, {.prompt = 10, .output_cap = 32'768, .streamed = true}).refusal.refused()) break;
    tickets.push_back(std::move(ticket));
  }
  EXPECT_GT(tickets.size(), 20u);
  for (auto& ticket : tickets) ledger.settle(*ticket, {});
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(Budgets, TellsSpentFromReservedFromTooLarge) {
  key_budget({tokens(1'000)});
  Ticket running, ticket;
  ASSERT_FALSE(ledger.reserve(running, kCall, {.prompt = 900, .output_cap = 50, .cap_given = true}).refusal.refused());
  Grant grant = ledger.reserve(ticket, kCall, {.prompt = 60, .output_cap = 50, .cap_given = true});
  EXPECT_EQ(grant.refusal.kind, RefusalKind::kReserved);
  EXPECT_EQ(grant.refusal.left, 50u);
  EXPECT_GT(grant.refusal.retry_after.count(), 0);
  grant = ledger.reserve(ticket, kCall, {.prompt = 1'000, .output_cap = 50, .cap_given = true});
  EXPECT_EQ(grant.refusal.kind, RefusalKind::kTooLarge) << "nobody who ends makes room for a prompt above the budget";
  EXPECT_EQ(grant.refusal.retry_after.count(), 0);
  ledger.settle(running, measured(950, 50));
  grant = ledger.reserve(ticket, kCall, {.prompt = 1, .output_cap = 50, .cap_given = true});
  EXPECT_EQ(grant.refusal.kind, RefusalKind::kSpent);
  EXPECT_EQ(grant.refusal.retry_after.count(), 0);
  EXPECT_EQ(
      describe(grant.refusal),
      "Budget of 1000 tokens a month of this key is used up: nothing is left. It resets at 2026-12-01T00:00:00Z.");
}

TEST_F(Budgets, LessLeftThanThePromptIsRefusedAndJustEnoughIsNot) {
  key_budget({tokens(100)});
  EXPECT_EQ(call(100, 1).refusal.kind, RefusalKind::kTooLarge);
  EXPECT_FALSE(call(99, 1).refusal.refused());
  EXPECT_EQ(key_state().left, 0u);
  key_budget({tokens(200)});
  EXPECT_FALSE(call(100, 0).refusal.refused()) << "an embedding needs no room for output";
}

TEST_F(Budgets, AllOrNothingOverEveryScope) {
  key_budget({tokens(10'000), tokens(5'000, BudgetPeriod::kDay)});
  ledger.set_scope(Scope::kUser, 0, 21, "ada", {}, {tokens(10'000)});
  ledger.set_scope(Scope::kTenant, 0, 31, "acme", {}, {tokens(10'000), micro_usd(1'000'000, BudgetPeriod::kTotal)});
  ledger.set_model(
      0, "m",
      {.limits = {},
       .budgets = {tokens(300)},
       .user_budgets = {tokens(200)},
       .price = {.prompt = 1'000'000, .cached = 1'000'000, .completion = 2'000'000, .reasoning = 2'000'000}});
  EXPECT_EQ(ledger.explain(kCall).size(), 6u);
  Ticket ticket;
  Grant grant = ledger.reserve(ticket, kCall, {.prompt = 150, .output_cap = 100, .cap_given = true});
  EXPECT_EQ(grant.clamp_output_to, 50u) << "the user has 200 on this model";
  EXPECT_EQ(ticket.budget_count, 7u);
  Ticket second;
  grant = ledger.reserve(second, kCall, {.prompt = 101, .output_cap = 10, .cap_given = true});
  EXPECT_EQ(grant.refusal.kind, RefusalKind::kReserved);
  EXPECT_EQ(ledger.reserved(), 200u * 6 + 150 + 100) << "six in tokens, one in micro-dollars";
  ledger.settle(ticket, measured(150, 40));
  for (const Explanation& line : ledger.explain(kCall)) {
    EXPECT_EQ(line.used, line.unit == BudgetUnit::kTokens ? 190u : 230u);
    EXPECT_EQ(line.reserved, 0u);
  }
}

TEST_F(Budgets, MoneyIsChargedByThePriceOfEachPart) {
  key_budget({micro_usd(1'000'000)});
  ledger.set_model(
      0, "m",
      {.limits = {},
       .budgets = {},
       .user_budgets = {},
       .price = {.prompt = 2'500'000, .cached = 1'250'000, .completion = 10'000'000, .reasoning = 12'000'000}});
  Ticket ticket;
  ASSERT_FALSE(
      ledger.reserve(ticket, kCall, {.prompt = 1'000, .output_cap = 100, .cap_given = true}).refusal.refused());
  EXPECT_EQ(key_state().reserved, 2'500u + 1'200u) << "at the dearest that it may turn out to be";
  ledger.settle(ticket, {.source = UsageSource::kMeasured,
                         .prompt_tokens = 1'000,
                         .cached_tokens = 400,
                         .completion_tokens = 100,
                         .reasoning_tokens = 50});
  EXPECT_EQ(key_state().used, 1'500u + 500u + 500u + 600u);
}

TEST_F(Budgets, EveryMeterHasItsPriceAndNoTokenIsPaidTwice) {
  constexpr Price kPrice{.prompt = 1'000'000,
                         .cached = 10'000'000,
                         .completion = 100'000'000,
                         .reasoning = 1'000'000'000,
                         .cache_write = 10'000'000'000,
                         .audio_input = 100'000'000'000,
                         .audio_output = 1'000'000'000'000};
  EXPECT_EQ(cost(kPrice, {.prompt_tokens = 10,
                          .cached_tokens = 2,
                          .completion_tokens = 20,
                          .reasoning_tokens = 3,
                          .cache_write_tokens = 4,
                          .audio_input_tokens = 1,
                          .audio_output_tokens = 5}),
            3u + 20u + 1'200u + 3'000u + 40'000u + 100'000u + 5'000'000u);
  EXPECT_EQ(cost(kPrice, {.prompt_tokens = 10, .cached_tokens = 8, .cache_write_tokens = 8, .audio_input_tokens = 8}),
            80u + 20'000u)
      << "the parts never come to more than the whole";
  constexpr Price kCounted{
      .images = 40'000'000'000, .seconds = 100'000'000, .characters = 15'000'000, .searches = 10'000'000'000};
  EXPECT_EQ(cost(kCounted, {.images = 2, .seconds = 61, .characters = 7, .searches = 3}),
            80'000u + 6'100u + 105u + 30'000u);
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 63;
  EXPECT_EQ(cost({.prompt = kHuge, .images = kHuge, .seconds = kHuge},
                 {.prompt_tokens = kHuge, .images = kHuge, .seconds = kHuge}),
            per_million(kMaxAmount))
      << "sums stand at the most";
}

TEST_F(Budgets, AModelWithoutAPriceCostsNoMoney) {
  key_budget({micro_usd(10)});
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(call(1'000, 1'000).refusal.refused());
  EXPECT_EQ(key_state().used, 0u);
}

TEST_F(Budgets, AStreamExtendsSliceBySliceAndIsCutWhereNothingIsLeft) {
  key_budget({tokens(10'000)});
  Ticket ticket;
  const Grant grant = ledger.reserve(ticket, kCall, {.prompt = 0, .output_cap = 32'768, .streamed = true});
  EXPECT_EQ(grant.clamp_output_to, 10'000u);
  std::uint64_t counted = 0;
  while (ledger.extend(ticket, counted) == Extended::kGranted) ++counted;
  EXPECT_EQ(counted, 10'000u) << "the last token that is paid for passes";
  EXPECT_EQ(key_state().reserved, 10'000u);
  ledger.settle(ticket, measured(0, counted));
  EXPECT_EQ(key_state().left, 0u);
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(Budgets, AnExtensionThatOthersBlockIsTriedAgain) {
  key_budget({tokens(300)});
  Ticket stream, other;
  ASSERT_FALSE(ledger.reserve(stream, kCall, {.prompt = 0, .output_cap = 1'000, .streamed = true}).refusal.refused());
  const std::uint64_t first = stream.reserved_output;
  ASSERT_FALSE(ledger.reserve(other, kCall, {.prompt = 300 - first, .output_cap = 0}).refusal.refused());
  EXPECT_EQ(ledger.extend(stream, first - 1), Extended::kGranted) << "near the end, not at it";
  EXPECT_EQ(stream.reserved_output, first);
  ledger.settle(other, {});
  EXPECT_EQ(ledger.extend(stream, first), Extended::kGranted);
  EXPECT_GT(stream.reserved_output, first);
  ledger.settle(stream, {});
}

TEST_F(Budgets, AnUpstreamThatIgnoresItsCapIsChargedInFull) {
  key_budget({tokens(100)});
  Ticket ticket;
  ASSERT_EQ(ledger.reserve(ticket, kCall, {.prompt = 10, .output_cap = 1'000, .cap_given = true}).clamp_output_to, 90u);
  ledger.settle(ticket, measured(10, 500));
  EXPECT_EQ(key_state().used, 510u);
  EXPECT_EQ(call(1, 1).refusal.kind, RefusalKind::kSpent);
}

TEST_F(Budgets, ASoftBudgetCountsAndNeverRefuses) {
  key_budget({tokens(100, BudgetPeriod::kMonth, true)});
  EXPECT_FALSE(call(1'000, 1'000).refusal.refused());
  EXPECT_EQ(key_state().used, 2'000u);
  key_budget({tokens(100, BudgetPeriod::kMonth, true), tokens(2'500)});
  EXPECT_EQ(key_state().used, 2'000u) << "a hard amount beside it shares the counter";
  EXPECT_EQ(call(600, 0).refusal.kind, RefusalKind::kTooLarge);
}

// --- reloads ---

TEST_F(Budgets, RaisedLoweredAndRemovedWhileACallRuns) {
  key_budget({tokens(1'000)});
  Ticket ticket, other;
  ASSERT_FALSE(ledger.reserve(ticket, kCall, {.prompt = 600, .output_cap = 0}).refusal.refused());
  key_budget({tokens(100)});
  EXPECT_EQ(ledger.reserve(other, kCall, {.prompt = 10, .output_cap = 0}).refusal.kind, RefusalKind::kReserved);
  key_budget({});
  EXPECT_TRUE(ledger.explain(kCall).empty());
  EXPECT_FALSE(ledger.reserve(other, kCall, {.prompt = 1'000'000, .output_cap = 0}).refusal.refused());
  ledger.settle(other, measured(1'000'000, 0));
  ledger.settle(ticket, measured(600, 0));
  EXPECT_EQ(ledger.reserved(), 0u);
  key_budget({tokens(700)});
  EXPECT_EQ(key_state().used, 0u) << "made anew: change_budgets() asks for what its period has used";
  EXPECT_EQ(call(701, 0).refusal.kind, RefusalKind::kTooLarge);
  EXPECT_FALSE(call(700, 0).refusal.refused());
}

TEST_F(Budgets, ALoweredBudgetCutsTheStreamAndARemovedOneLetsItRun) {
  key_budget({tokens(100'000)});
  Ticket ticket;
  ASSERT_FALSE(ledger.reserve(ticket, kCall, {.prompt = 0, .output_cap = 50'000, .streamed = true}).refusal.refused());
  key_budget({tokens(10)});
  EXPECT_EQ(ledger.extend(ticket, 2'000), Extended::kGranted) << "what is reserved may still pass";
  EXPECT_EQ(ledger.extend(ticket, 2'048), Extended::kUsedUp);
  key_budget({});
  EXPECT_EQ(ledger.extend(ticket, 2'048), Extended::kGranted);
  ledger.settle(ticket, {});
}

TEST_F(Budgets, APriceThatChangesMidCallLeavesTheCallItsOwn) {
  key_budget({micro_usd(1'000'000)});
  const auto price = [&](std::uint64_t p) {
    ledger.set_model(0, "m",
                     {.limits = {},
                      .budgets = {},
                      .user_budgets = {},
                      .price = {.prompt = p, .cached = p, .completion = p, .reasoning = p}});
  };
  price(1'000'000);
  Ticket ticket;
  ASSERT_FALSE(ledger.reserve(ticket, kCall, {.prompt = 100, .output_cap = 0}).refusal.refused());
  price(9'000'000);
  ledger.settle(ticket, measured(100, 0));
  EXPECT_EQ(key_state().used, 100u);
  EXPECT_EQ(key_state().reserved, 0u);
}

TEST_F(Budgets, UserBudgetsOfAModelFollowAReload) {
  const auto each_user = [&](std::uint64_t amount) {
    ledger.set_model(0, "m", {.limits = {}, .budgets = {}, .user_budgets = {tokens(amount)}, .price = {}});
  };
  each_user(100);
  EXPECT_FALSE(call(80, 0).refusal.refused());
  EXPECT_EQ(call(80, 0).refusal.kind, RefusalKind::kTooLarge);
  each_user(1'000);
  EXPECT_FALSE(call(80, 0).refusal.refused());
  Scopes other = kCall;
  other.user = 7;
  other.user_id = 28;
  Ticket ticket;
  EXPECT_FALSE(ledger.reserve(ticket, other, {.prompt = 1'000, .output_cap = 0}).refusal.refused())
      << "each user has its own";
  ledger.settle(ticket, {});
  ledger.set_user_model(0, 21, "ada", 0, {tokens(200)});
  EXPECT_EQ(call(80, 0).refusal.kind, RefusalKind::kTooLarge);
  ledger.set_user_model(0, 21, "ada", 0, {});
  EXPECT_FALSE(call(80, 0).refusal.refused());
}

// --- periods ---

TEST_F(Budgets, TheMonthTurnsWhileACallRuns) {
  clock.set_wall(at(2026, 11, 30, 23, 59));
  key_budget({tokens(1'000)});
  Ticket old;
  ASSERT_FALSE(ledger.reserve(old, kCall, {.prompt = 900, .output_cap = 0}).refusal.refused());
  clock.pass(std::chrono::minutes(2));
  EXPECT_EQ(key_state().reserved, 0u);
  EXPECT_FALSE(call(1'000, 0).refusal.refused()) << "a new month, a new grant";
  ledger.settle(old, measured(900, 0));
  EXPECT_EQ(key_state().used, 1'000u) << "the old call is charged to the month it began in";
  std::uint64_t november = 0;
  for (const BudgetState& state : ledger.snapshot()) {
    if (state.when.begin_us == to_us(at(2026, 11, 1))) november = state.settled;
  }
  EXPECT_EQ(november, 900u);
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(Budgets, AMonthIsGrantedOnceWhereverTheClockJumps) {
  key_budget({tokens(1'000)});
  EXPECT_FALSE(call(600, 0).refusal.refused());
  clock.set_wall(at(2027, 3, 1));
  EXPECT_FALSE(call(700, 0).refusal.refused());
  clock.set_wall(at(2026, 11, 20));
  EXPECT_EQ(key_state().used, 600u) << "back in November, its counter is as it was";
  clock.set_wall(at(2026, 5, 1));
  EXPECT_EQ(key_state().used, 600u) << "a month before all that is known is not opened anew";
  clock.set_wall(at(2026, 12, 1));
  EXPECT_EQ(key_state().used, 0u) << "December has not been before";
  clock.set_wall(at(2027, 3, 2));
  EXPECT_EQ(key_state().used, 700u) << "nor is March granted twice";
}

TEST_F(Budgets, ASweptMonthIsNotOpenedAgain) {
  key_budget({tokens(1'000)});
  EXPECT_FALSE(call(600, 0).refusal.refused());
  clock.set_wall(at(2027, 1, 1));
  EXPECT_FALSE(call(100, 0).refusal.refused());
  for (int i = 0; i < 4; ++i) {
    ledger.sweep();
    clock.pass(hours(1));
  }
  EXPECT_EQ(ledger.snapshot().size(), 1u);
  clock.set_wall(at(2026, 11, 20));
  EXPECT_EQ(key_state().used, 100u) << "the earliest month that is known goes on";
}

TEST_F(Budgets, SweepingLeavesAHeldMonthAlone) {
  key_budget({tokens(1'000)});
  Ticket ticket;
  ASSERT_FALSE(ledger.reserve(ticket, kCall, {.prompt = 10, .output_cap = 0}).refusal.refused());
  clock.set_wall(at(2027, 1, 1));
  (void)call(1, 0);
  for (int i = 0; i < 4; ++i) {
    ledger.sweep();
    clock.pass(hours(2));
  }
  ledger.settle(ticket, measured(10, 0));
  EXPECT_EQ(ledger.snapshot().size(), 2u);
}

TEST(Periods, FollowTheZoneAndItsShortDays) {
  absl::TimeZone berlin;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &berlin));
  const Period day = period_of(BudgetPeriod::kDay, at(2026, 3, 29, 12), berlin);
  EXPECT_EQ(day.end_us - day.begin_us, 23LL * 3600 * 1'000'000);
  const Period month = period_of(BudgetPeriod::kMonth, at(2026, 10, 31, 23, 30), berlin);
  EXPECT_EQ(month.begin_us, to_us(at(2026, 10, 31, 23))) << "November begins an hour early in UTC";
  EXPECT_TRUE(period_of(BudgetPeriod::kTotal, at(2026, 1, 1), berlin).contains(0));
  EXPECT_EQ(civil_day(at(1970, 1, 1, 23, 30), berlin), 1);
}

// --- restoring ---

TEST_F(Budgets, RestoreWorksInAnyOrder) {
  key_budget({tokens(1'000), tokens(1'000, BudgetPeriod::kTotal)});
  ledger.set_model(0, "m", {.limits = {}, .budgets = {tokens(1'000)}, .user_budgets = {tokens(1'000)}, .price = {}});
  EXPECT_FALSE(call(600, 0).refusal.refused());
  const std::vector<BudgetState> states = ledger.snapshot();
  EXPECT_EQ(states.size(), 4u);
  for (const bool restore_first : {true, false}) {
    Ledger fresh(clock, {});
    if (restore_first) fresh.restore(states);
    fresh.set_scope(Scope::kKey, 5, 1, "", {}, {tokens(1'000), tokens(1'000, BudgetPeriod::kTotal)});
    fresh.set_model(3, "m", {.limits = {}, .budgets = {tokens(1'000)}, .user_budgets = {tokens(1'000)}, .price = {}});
    if (!restore_first) fresh.restore(states);
    Ticket ticket;
    const Scopes scopes{.key = 5, .user = 9, .tenant = kNoIndex, .model = 3, .user_id = 21, .user_name = "ada"};
    EXPECT_TRUE(fresh.reserve(ticket, scopes, {.prompt = 401, .output_cap = 0}).refusal.refused());
    const auto lines = fresh.explain(scopes);
    EXPECT_EQ(lines.size(), 4u);
    for (const Explanation& line : lines) EXPECT_EQ(line.used, 600u);
    EXPECT_EQ(fresh.snapshot().size(), 4u);
  }
}

// --- events ---

struct Events final : LedgerEvents {
  void threshold_passed(const ThresholdEvent& event) noexcept override {
    seen.push_back(std::string(to_string(event.scope)) + (event.soft ? " soft " : " ") + std::to_string(event.percent));
  }
  std::vector<std::string> seen;
};

TEST(BudgetEvents, EachShareIsToldOnceAndALoweredBudgetAtOnce) {
  ManualClock clock;
  Events events;
  Ledger ledger(clock, {.warn_percent = 80}, &events);
  ledger.set_scope(Scope::kKey, 0, 1, "", {}, {tokens(1'000), tokens(500, BudgetPeriod::kMonth, true)});
  for (int i = 0; i < 11; ++i) {
    Ticket ticket;
    if (!ledger.reserve(ticket, kCall, {.prompt = 100, .output_cap = 0}).refusal.refused())
      ledger.settle(ticket, measured(100, 0));
  }
  EXPECT_EQ(events.seen, (std::vector<std::string>{"key soft 100", "key 80", "key 100"}));
  ledger.set_scope(Scope::kKey, 0, 1, "", {}, {tokens(2'000)});
  ledger.set_scope(Scope::kKey, 0, 1, "", {}, {tokens(900)});
  EXPECT_EQ(events.seen.size(), 4u);
}

}  // namespace
}  // namespace sluice::ledger
