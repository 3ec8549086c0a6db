// From the store to memory: what callers have used of their budgets, and what still runs of theirs.
#pragma once

#include <absl/status/status.h>

#include <functional>

#include "identity/key_directory.h"
#include "ledger/ledger.h"
#include "proxy/kept_calls.h"
#include "server/accounting.h"
#include "server/model_book.h"
#include "store/store.h"

namespace sluice::server {

// Where callers and models of kept calls are found.
struct KeptFrom {
  identity::KeyDirectory& directory;
  ModelNumbers& models;
};
// At start, once callers are known: what runs on from before holds its budgets again.
absl::Status hold_kept_calls(store::Store& store, KeptFrom from, proxy::KeptCalls& kept);

// At start: gives every budget's present period what the store says was used in it.
absl::Status restore_budgets(store::Store& store, ledger::Ledger& ledger);

// Runs `set`, which may make budgets while calls run, and gives those that it made what their present period has used:
// what the store has, and what has not reached it. `settle_down` returns when every call that was settled before it was
// called has left its record. Error: the budgets hold, but do not know their past until the next start.
absl::Status change_budgets(store::Store& store, Accounting& accounting, ledger::Ledger& ledger,
                            const std::function<void()>& set, const std::function<void()>& settle_down);

}  // namespace sluice::server
