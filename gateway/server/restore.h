// From the store to memory: what callers have used of their budgets.
#pragma once

#include <absl/status/status.h>

#include <functional>

#include "ledger/ledger.h"
#include "server/accounting.h"
#include "store/store.h"

namespace sluice::server {

// At start: gives every budget's present period what the store says was used in it.
absl::Status restore_budgets(store::Store& store, ledger::Ledger& ledger);

// Runs `set`, which may make budgets while calls run, and gives those that it made what their present period has used:
// what the store has, and what has not reached it. `settle_down` returns when every call that was settled before it was
// called has left its record. Error: the budgets hold, but do not know their past until the next start.
absl::Status change_budgets(store::Store& store, Accounting& accounting, ledger::Ledger& ledger,
                            const std::function<void()>& set, const std::function<void()>& settle_down);

}  // namespace sluice::server
