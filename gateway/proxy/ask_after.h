// Asks a place after a call that it went on with by itself.
#pragma once

#include "base/task.h"
#include "proxy/kept_calls.h"
#include "proxy/worker.h"

namespace sluice::proxy {

// Ends it first, where the question says so, and tells worker.kept_calls what the place says of it, once.
// Thread:   the worker's.
// Lifetime: the worker outlives it.
// Cancel:   ends with the worker's running calls (RunningCall::drained): the place is away, then.
[[nodiscard]] Task<void> ask_after(Worker& worker, KeptCalls::Question question);

}  // namespace sluice::proxy
