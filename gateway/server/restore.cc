#include "server/restore.h"

#include <utility>
#include <vector>

namespace sluice::server {
namespace {

// One sum as the state of a budget in each unit: which of them has a budget, the ledger knows.
void append_states(const ledger::UsageSum& sum, BudgetPeriod period, ledger::Period when,
                   std::vector<ledger::BudgetState>& into) {
  ledger::BudgetState state{.scope = sum.scope, .id = sum.id, .model = sum.model, .period = period, .when = when};
  state.unit = BudgetUnit::kTokens;
  state.settled = sum.tokens;
  into.push_back(state);
  state.unit = BudgetUnit::kMicroUsd;
  state.settled = sum.cost_micros;
  into.push_back(std::move(state));
}

}  // namespace

absl::Status restore_budgets(store::Store& store, ledger::Ledger& ledger) {
  std::vector<ledger::BudgetState> states;
  const WallTime now = ledger.clock().wall();
  for (const BudgetPeriod period : {BudgetPeriod::kDay, BudgetPeriod::kMonth, BudgetPeriod::kTotal}) {
    const ledger::Period when = ledger::period_of(period, now, ledger.zone());
    auto sums = store.sums(when.begin_us);
    if (!sums.ok()) return sums.status();
    for (const ledger::UsageSum& sum : *sums) append_states(sum, period, when, states);
  }
  ledger.restore(states);
  return absl::OkStatus();
}

}  // namespace sluice::server
