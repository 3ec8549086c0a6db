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

// What the store has, and what it has not taken yet, of calls that ended before the present epoch.
absl::Status append_past(store::Store& store, Accounting& accounting, ledger::Epoch epoch, const ledger::PastUse& past,
                         std::vector<ledger::BudgetState>& into) {
  const auto sums = store.sums(past.query);
  if (!sums.ok()) return sums.status();
  for (const ledger::UsageSum& sum : *sums) append_states(sum, past.period, past.query.when, into);
  accounting.each_undelivered([&](const journal::AuditRecord& record) {
    // A call that was settled in this epoch is charged already.
    if (record.boot_id == accounting.boot_id() && record.settled_in >= epoch) return;
    if (const auto share = share_of(past.query, record)) append_states(*share, past.period, past.query.when, into);
  });
  return absl::OkStatus();
}

}  // namespace

absl::Status restore_budgets(store::Store& store, ledger::Ledger& ledger) {
  std::vector<ledger::BudgetState> states;
  const WallTime now = ledger.clock().wall();
  for (const BudgetPeriod period : {BudgetPeriod::kDay, BudgetPeriod::kMonth, BudgetPeriod::kTotal}) {
    const ledger::Period when = ledger::period_of(period, now, ledger.zone());
    auto sums = store.sums({.when = when});
    if (!sums.ok()) return sums.status();
    for (const ledger::UsageSum& sum : *sums) append_states(sum, period, when, states);
  }
  ledger.restore(states);
  return absl::OkStatus();
}

absl::Status hold_kept_calls(store::Store& store, KeptFrom from, proxy::KeptCalls& kept) {
  auto calls = store.kept_calls();
  if (!calls.ok()) return calls.status();
  for (store::KeptCall& call : *calls) {
    const identity::Key* const key = from.directory.key(call.key_id);
    ledger::Scopes scopes{.model = from.models.keep(call.model)};
    if (key != nullptr) {
      scopes.key = key->index;
      scopes.user = key->user->index;
      scopes.tenant = key->user->tenant->index;
      scopes.user_id = key->user->id;
      scopes.user_name = key->user->name;
    }
    kept.hold_again(std::move(call), key, scopes);
  }
  return absl::OkStatus();
}

absl::Status change_budgets(store::Store& store, Accounting& accounting, ledger::Ledger& ledger,
                            const std::function<void()>& set, const std::function<void()>& settle_down) {
  const auto held = accounting.hold_delivery();
  const std::vector<ledger::PastUse> made = ledger.change_budgets(set);
  if (made.empty()) return absl::OkStatus();
  settle_down();
  std::vector<ledger::BudgetState> states;
  for (const ledger::PastUse& past : made) {
    if (absl::Status read = append_past(store, accounting, ledger.epoch(), past, states); !read.ok()) return read;
  }
  ledger.restore(states);
  return absl::OkStatus();
}

}  // namespace sluice::server
