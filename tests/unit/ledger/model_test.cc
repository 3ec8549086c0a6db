// The ledger beside a model so simple that it can be believed: random calls, extensions, ends, reloads that make,
// raise, lower and remove budgets, months and crashes.
#include <map>
#include <optional>
#include <random>

#include "unit/ledger/fixture.h"

namespace sluice::ledger {
namespace {

// One budget as a table: what each month has settled and what calls hold.
struct ModelBudget {
  std::uint64_t hard = kUnlimited;
  int life = 0;                                             // each time it begins to apply it begins anew
  std::int64_t month = 0;                                   // in which it did
  std::map<std::int64_t, std::uint64_t> settled, reserved;  // by month
  [[nodiscard]] bool applies() const { return hard != kUnlimited; }
};

struct ModelCall {
  std::unique_ptr<Ticket> ticket = std::make_unique<Ticket>();
  std::int64_t month = 0;
  std::uint64_t counted = 0;
  int key_life = 0, model_life = 0;  // which it holds; 0: none
  std::uint64_t reserved = 0;
  [[nodiscard]] std::uint64_t holds() const { return (key_life != 0) + (model_life != 0); }
};

class ReferenceModel : public ::testing::TestWithParam<unsigned> {
 protected:
  ReferenceModel() { restart(); }

  // A new process, to which the store tells what has ended.
  void restart() {
    ledger = std::make_unique<Ledger>(clock, Ledger::Options{.slice = 50});
    const Period now = period_of(BudgetPeriod::kMonth, clock.wall(), absl::UTCTimeZone());
    ledger->restore(
        {state_of({.scope = Scope::kKey, .id = 1}, now), state_of({.scope = Scope::kModel, .model = "m"}, now)});
    apply();
    for (ModelBudget* budget : {&key, &model}) {
      if (budget->applies()) begin(*budget);
    }
  }
  // A reload while calls run.
  void set_hard(ModelBudget& budget, std::uint64_t hard) {
    const bool applied = budget.applies();
    budget.hard = hard;
    std::vector<BudgetState> states;
    const auto made = ledger->change_budgets([&] { apply(); });
    for (const PastUse& past : made) {
      states.push_back(
          state_of({.scope = *past.query.scope, .id = past.query.id, .model = past.query.model}, past.query.when));
    }
    ledger->restore(states);
    ASSERT_EQ(made.size(), !applied && budget.applies() ? 1u : 0u);
    if (!applied && budget.applies()) begin(budget);
  }
  void begin(ModelBudget& budget) {
    ++budget.life;
    budget.month = month();
    budget.reserved.clear();
    budget.settled = {{month(), ended[month()]}};
  }
  BudgetState state_of(BudgetState state, Period when) {
    state.unit = BudgetUnit::kTokens;
    state.period = BudgetPeriod::kMonth;
    state.when = when;
    state.settled = ended[when.begin_us];
    return state;
  }
  void apply() {
    const auto specs = [](const ModelBudget& budget) {
      return budget.applies() ? std::vector{tokens(budget.hard)} : std::vector<BudgetSpec>{};
    };
    ledger->set_scope(Scope::kKey, 0, 1, "", {}, specs(key));
    ledger->set_model(0, "m", {.limits = {}, .budgets = specs(model), .user_budgets = {}, .price = {}});
  }
  std::int64_t month() { return period_of(BudgetPeriod::kMonth, clock.wall(), absl::UTCTimeZone()).begin_us; }
  static std::uint64_t left(const ModelBudget& budget, std::int64_t month) {
    const auto settled = budget.settled.find(month), reserved = budget.reserved.find(month);
    return left_of(budget.hard, (settled == budget.settled.end() ? 0 : settled->second) +
                                    (reserved == budget.reserved.end() ? 0 : reserved->second));
  }

  void reserve() {
    ModelCall call;
    call.month = month();
    call.key_life = key.applies() ? key.life : 0;
    call.model_life = model.applies() ? model.life : 0;
    const std::uint64_t prompt = random() % 40, cap = random() % 3 == 0 ? 0 : 1 + random() % 200;
    const Ask ask{.prompt = prompt,
                  .output_cap = cap,
                  .choices = 1 + random() % 3,
                  .streamed = random() % 2 == 0,
                  .cap_given = random() % 2 == 0};
    const Grant grant = ledger->reserve(*call.ticket, kCall, ask);
    const std::uint64_t least = std::max<std::uint64_t>(1, prompt + std::min(cap, ask.choices));
    const std::uint64_t room = std::min(left(key, call.month), left(model, call.month));
    if (grant.refusal.refused()) {
      ASSERT_GT(least, room) << "refused although there was room";
      const auto settled_full = [&](ModelBudget& b) { return b.hard != kUnlimited && b.settled[call.month] >= b.hard; };
      const bool spent = settled_full(key) || settled_full(model);
      ASSERT_EQ(grant.refusal.kind == RefusalKind::kSpent, spent)
          << "insufficient_quota if and only if settled use is at the limit";
      return;
    }
    ASSERT_LE(least, room) << "granted without room";
    call.reserved = std::max<std::uint64_t>(1, prompt + call.ticket->reserved_output);
    ASSERT_LE(call.reserved, room);
    if (!ask.streamed && grant.clamp_output_to != 0) {
      ASSERT_LE(grant.clamp_output_to * ask.choices, std::max(call.ticket->reserved_output, ask.choices));
    }
    if (cap != 0 && grant.clamp_output_to == 0) {
      ASSERT_TRUE(ask.streamed ? room >= prompt + cap : call.ticket->reserved_output == cap)
          << "left alone, and could overspend";
    }
    hold(call, call.reserved);
    calls.push_back(std::move(call));
  }
  void hold(const ModelCall& call, std::uint64_t amount) {
    if (call.key_life == key.life) key.reserved[call.month] += amount;
    if (call.model_life == model.life) model.reserved[call.month] += amount;
  }
  void extend(ModelCall& call) {
    call.counted += random() % 60;
    const std::uint64_t before = call.ticket->reserved_output;
    std::uint64_t room = kUnlimited;
    if (call.key_life == key.life) room = std::min(room, left(key, call.month));
    if (call.model_life == model.life) room = std::min(room, left(model, call.month));
    const Extended extended = ledger->extend(*call.ticket, call.counted);
    const std::uint64_t more = call.ticket->reserved_output - before;
    ASSERT_LE(more, room);
    hold(call, more);
    call.reserved += more;
    if (extended == Extended::kUsedUp) {
      ASSERT_GE(call.counted, call.ticket->reserved_output) << "cut before the reservation was used";
      ASSERT_EQ(room - more, 0u) << "cut although there was room";
    } else if (!call.ticket->empty()) {
      ASSERT_LE(call.counted, call.ticket->reserved_output) << "went on unreserved";
    }
  }
  void settle(ModelCall& call) {
    const std::uint64_t used = random() % 4 == 0   ? 0
                               : random() % 3 == 0 ? call.reserved + random() % 50
                                                   : random() % (call.reserved + 1);
    ledger->settle(*call.ticket, measured(used / 3, used - used / 3));
    ended[call.month] += used;
    settle(key, call.key_life, call, used);
    settle(model, call.model_life, call, used);
  }
  // A budget that is younger than the call has reserved nothing for it, and counts it in the month in which it began.
  static void settle(ModelBudget& budget, int life, const ModelCall& call, std::uint64_t used) {
    if (life == budget.life && life != 0) {
      budget.reserved[call.month] -= call.reserved;
      budget.settled[call.month] += used;
    } else if (budget.applies() && call.month == budget.month) {
      budget.settled[call.month] += used;
    }
  }
  void check() {
    std::uint64_t reserved = 0;
    for (const ModelCall& call : calls) reserved += call.reserved * call.holds();
    ASSERT_EQ(ledger->reserved(), reserved) << "reserved == sum of what is in flight";
    std::map<std::pair<Scope, std::int64_t>, std::uint64_t> settled;
    for (const BudgetState& state : ledger->snapshot()) settled[{state.scope, state.when.begin_us}] += state.settled;
    for (const auto& [budget, scope] : {std::pair(&key, Scope::kKey), std::pair(&model, Scope::kModel)}) {
      if (!budget->applies()) continue;
      for (const auto& [when, amount] : budget->settled) ASSERT_EQ((settled[{scope, when}]), amount);
    }
  }

  std::mt19937_64 random{GetParam()};
  ManualClock clock{at(2026, 11, 18)};
  ModelBudget key, model;
  std::map<std::int64_t, std::uint64_t> ended;  // what all calls have used, by month
  std::unique_ptr<Ledger> ledger;
  std::vector<ModelCall> calls;
};

TEST_P(ReferenceModel, AgreesWithTheLedgerStepByStep) {
  set_hard(key, 1'000);
  set_hard(model, 2'000);
  for (int step = 0; step < 3'000; ++step) {
    SCOPED_TRACE(step);
    const std::uint64_t what = random() % 100;
    const std::size_t which = calls.empty() ? 0 : random() % calls.size();
    if (what < 40) {
      reserve();
    } else if (what < 65 && !calls.empty()) {
      extend(calls[which]);
    } else if (what < 92 && !calls.empty()) {
      settle(calls[which]);
      calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(which));
    } else if (what < 96) {  // a reload: raised, lowered below what is used, removed
      set_hard(random() % 2 == 0 ? key : model, random() % 5 == 0 ? kUnlimited : 1 + random() % 4'000);
    } else if (what < 98) {
      clock.pass(hours(24 * (random() % 20)));
    } else if (what == 98) {  // a crash, whose open calls the journal has charged by the next start
      for (ModelCall& call : calls) settle(call);
      calls.clear();
      restart();
    }
    check();
    if (HasFatalFailure()) break;
  }
  for (ModelCall& call : calls) settle(call);
  EXPECT_EQ(ledger->reserved(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReferenceModel, ::testing::Range(1u, 21u));

}  // namespace
}  // namespace sluice::ledger
