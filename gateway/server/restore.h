// From the store to memory, at start: what callers have used of their budgets.
#pragma once

#include <absl/status/status.h>

#include "ledger/ledger.h"
#include "store/store.h"

namespace sluice::server {

// Gives every budget's present period what the store says was used in it.
absl::Status restore_budgets(store::Store& store, ledger::Ledger& ledger);

}  // namespace sluice::server
