// Waiting for the store without holding its thread up: SQLite would wait for another program's lock right where it is
// asked, and with it everything else on the control thread.
#pragma once

#include <absl/status/status.h>

#include "base/task.h"
#include "net/loop.h"
#include "store/store.h"

namespace sluice::admin {

// Returns once the store takes a change; one that is made in the same turn finds it so. kUnavailable: another program
// has held it locked for as long as SQLite itself would wait; one line that says what to do. Other errors: the store's.
[[nodiscard]] Task<absl::Status> await_change(store::Store& store, net::Loop& loop);

}  // namespace sluice::admin
