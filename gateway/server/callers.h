// From the store to memory, at start: callers into the directory, what they are held to and have used into the ledger.
#pragma once

#include <absl/status/status.h>

#include "identity/key_directory.h"
#include "ledger/ledger.h"
#include "store/store.h"

namespace sluice::server {

// Fills `directory` and marks it loaded. REQUIRES: nothing was loaded before.
absl::Status load_callers(store::Store& store, identity::KeyDirectory& directory);

// Gives every budget's present period what the store says was used in it.
absl::Status restore_budgets(store::Store& store, ledger::Ledger& ledger);

}  // namespace sluice::server
