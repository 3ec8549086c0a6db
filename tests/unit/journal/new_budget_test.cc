// Budgets that are made while calls run: each ended call is in them once, whether it ended before, across or after.
#include <thread>

#include "journal/usage_store.h"
#include "unit/ledger/fixture.h"

namespace sluice::ledger {
namespace {

using journal::AuditRecord;

// What journal and store keep of ended calls, and the way from there to a new budget, as server/restore.cc goes it.
class NewBudgets : public LedgerTest {
 protected:
  void record(const Ticket& ticket, const Usage& usage) {
    AuditRecord record;
    record.key_id = 1, record.user_id = 21;
    record.model = "m";
    record.day_us = ticket.day_us;
    record.settled_in = ticket.settled_in;
    record.usage = usage;
    const std::lock_guard lock(mutex);
    records.push_back(record);
  }
  void end(Ticket& ticket, const Usage& usage) {
    ledger.settle(ticket, usage);
    record(ticket, usage);
  }
  void begin(Ticket& ticket, std::uint64_t prompt) {
    ASSERT_FALSE(ledger.reserve(ticket, kCall, {.prompt = prompt, .output_cap = 0}).refusal.refused());
  }
  void ended_call(std::uint64_t prompt) {
    Ticket ticket;
    begin(ticket, prompt);
    end(ticket, measured(prompt, 0));
  }
  template <class F>
  void change(
      F&& set, const std::function<void()>& settle_down = [] {}) {
    const std::vector<PastUse> made = ledger.change_budgets(set);
    if (made.empty()) return;
    settle_down();
    std::vector<BudgetState> states;
    const std::lock_guard lock(mutex);
    for (const PastUse& past : made) {
      for (const AuditRecord& record : records) {
        const auto share = record.settled_in < ledger.epoch() ? share_of(past.query, record) : std::nullopt;
        if (!share) continue;
        states.push_back({.scope = share->scope,
                          .id = share->id,
                          .model = share->model,
                          .unit = BudgetUnit::kTokens,
                          .period = past.period,
                          .when = past.query.when,
                          .settled = share->tokens});
      }
    }
    ledger.restore(states);
  }
  void set_key(std::vector<BudgetSpec> budgets) {
    change([&] { key_budget(budgets); });
  }
  void set_users_of_model(std::vector<BudgetSpec> budgets) {
    change([&] { ledger.set_model(0, "m", {.limits = {}, .budgets = {}, .user_budgets = budgets, .price = {}}); });
  }
  std::uint64_t used(Scope scope, BudgetPeriod period = BudgetPeriod::kMonth) {
    for (const Explanation& line : ledger.explain(kCall)) {
      if (line.scope == scope && line.period == period) return line.used;
    }
    return 0;
  }

  std::mutex mutex;
  std::vector<AuditRecord> records;
};

TEST_F(NewBudgets, CountWhatEndedBeforeThem) {
  ended_call(100);
  set_key({tokens(1'000)});
  EXPECT_EQ(used(Scope::kKey), 100u);
  ended_call(10);
  set_key({tokens(1'000), tokens(500, BudgetPeriod::kDay)});
  EXPECT_EQ(used(Scope::kKey), 110u) << "one that goes on is not told again";
  EXPECT_EQ(used(Scope::kKey, BudgetPeriod::kDay), 110u);
}

TEST_F(NewBudgets, CountACallThatWasInFlightAtItsEnd) {
  Ticket ticket;
  begin(ticket, 100);
  set_key({tokens(1'000)});
  EXPECT_EQ(key_state().reserved, 0u);
  end(ticket, measured(70, 0));
  EXPECT_EQ(used(Scope::kKey), 70u);
  ended_call(5);
  EXPECT_EQ(used(Scope::kKey), 75u);
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(NewBudgets, DoNotCountACallOfThePeriodBefore) {
  clock.set_wall(at(2026, 11, 30, 23, 59));
  ended_call(40);
  Ticket ticket;
  begin(ticket, 100);
  clock.pass(std::chrono::minutes(2));
  set_key({tokens(1'000), tokens(1'000, BudgetPeriod::kTotal)});
  end(ticket, measured(100, 0));
  EXPECT_EQ(used(Scope::kKey), 0u);
  EXPECT_EQ(used(Scope::kKey, BudgetPeriod::kTotal), 140u);
}

TEST_F(NewBudgets, SetAgainCountWhatPassedMeanwhile) {
  set_key({tokens(1'000)});
  Ticket before;
  begin(before, 50);
  set_key({});
  ended_call(300);
  set_key({tokens(1'000)});
  EXPECT_EQ(used(Scope::kKey), 300u);
  EXPECT_EQ(ledger.reserved(), 50u) << "held in the budget that was removed";
  end(before, measured(50, 0));
  EXPECT_EQ(used(Scope::kKey), 350u);
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(NewBudgets, OfEachUserOnAModelCountThoseWhoCalledBefore) {
  set_users_of_model({});
  ended_call(100);
  Ticket ticket;
  begin(ticket, 7);
  set_users_of_model({tokens(1'000)});
  EXPECT_EQ(used(Scope::kUserModel), 0u) << "nobody called since";
  ended_call(20);
  EXPECT_EQ(used(Scope::kUserModel), 120u);
  end(ticket, measured(7, 0));
  EXPECT_EQ(used(Scope::kUserModel), 127u);
  set_users_of_model({tokens(900), tokens(900, BudgetPeriod::kDay)});
  EXPECT_EQ(used(Scope::kUserModel), 127u);
  EXPECT_EQ(used(Scope::kUserModel, BudgetPeriod::kDay), 127u);
  change([&] { ledger.set_user_model(0, 21, "ada", 0, {tokens(50, BudgetPeriod::kTotal)}); });
  EXPECT_EQ(used(Scope::kUserModel, BudgetPeriod::kTotal), 127u);
  change([&] { ledger.set_user_model(0, 21, "ada", 0, {}); });
  EXPECT_EQ(used(Scope::kUserModel), 127u) << "the model's own apply again";
}

TEST_F(NewBudgets, CountACallThatRanWhileTheyWereMadeOnce) {
  change([&] {
    key_budget({tokens(1'000)});
    ended_call(30);  // settled before the change takes effect: it is part of what was used before
  });
  EXPECT_EQ(used(Scope::kKey), 30u);
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(NewBudgets, OfEachUserOnAModelCountTheProcessBeforeOnce) {
  AuditRecord before;
  before.user_id = 21;
  before.model = "m";
  before.day_us = ledger.day_us();
  before.usage = measured(50, 0);
  records.push_back(before);
  const Period month = period_of(BudgetPeriod::kMonth, clock.wall(), absl::UTCTimeZone());
  ledger.restore({{.scope = Scope::kUserModel,
                   .id = 21,
                   .model = "m",
                   .unit = BudgetUnit::kTokens,
                   .period = BudgetPeriod::kMonth,
                   .when = month,
                   .settled = 50}});
  set_users_of_model({tokens(1'000)});
  ended_call(7);
  EXPECT_EQ(used(Scope::kUserModel), 57u);
}

TEST_F(NewBudgets, TellThatTheyArePassedAlready) {
  struct Events final : LedgerEvents {
    void threshold_passed(const ThresholdEvent& event) noexcept override { percents.push_back(event.percent); }
    std::vector<std::uint32_t> percents;
  } events;
  Ledger fresh(clock, {}, &events);
  const auto set = [&] { fresh.set_scope(Scope::kKey, 0, 1, "", {}, {tokens(100)}); };
  const std::vector<PastUse> made = fresh.change_budgets(set);
  ASSERT_EQ(made.size(), 1u);
  fresh.restore({{.scope = Scope::kKey,
                  .id = 1,
                  .unit = BudgetUnit::kTokens,
                  .period = made[0].period,
                  .when = made[0].query.when,
                  .settled = 100}});
  EXPECT_EQ(events.percents, (std::vector<std::uint32_t>{80, 100}));
}

// Workers settle a call and leave its record in one turn; the change waits for a turn of each.
TEST_F(NewBudgets, CountEachCallOnceWhateverRuns) {
  constexpr std::size_t kWorkers = 4;
  set_users_of_model({});
  std::uint64_t total = 0;
  for (int round = 0; round < 60; ++round) {
    std::array<std::mutex, kWorkers> turns;
    std::atomic<std::size_t> calls{0};
    std::vector<std::thread> workers;
    for (std::size_t w = 0; w < kWorkers; ++w) {
      workers.emplace_back([&, w] {
        for (std::uint64_t n = 1; n <= 200; ++n) {
          Ticket ticket;
          (void)ledger.reserve(ticket, kCall, {.prompt = n, .output_cap = 0});
          if (n % 3 == 0) std::this_thread::yield();
          const std::lock_guard turn(turns[w]);
          end(ticket, measured(n, 0));
          ++calls;
        }
      });
    }
    total += kWorkers * 200 * 201 / 2;
    const auto settle_down = [&] {
      for (std::mutex& turn : turns) const std::lock_guard wait(turn);
    };
    while (calls < static_cast<std::size_t>(round) * 10) std::this_thread::yield();
    change([&] { key_budget({tokens(kMaxAmount)}); }, settle_down);
    change(
        [&] {
          ledger.set_model(0, "m", {.limits = {}, .budgets = {}, .user_budgets = {tokens(kMaxAmount)}, .price = {}});
        },
        settle_down);
    for (std::thread& worker : workers) worker.join();
    ASSERT_EQ(used(Scope::kKey), total) << "round " << round;
    ended_call(1);
    ++total;
    ASSERT_EQ(used(Scope::kUserModel), total) << "round " << round;
    ASSERT_EQ(ledger.reserved(), 0u);
    set_key({});
    set_users_of_model({});
  }
}

}  // namespace
}  // namespace sluice::ledger
