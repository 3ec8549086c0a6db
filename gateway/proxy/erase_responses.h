// Deletes responses where they are kept, of users who were revoked.
#pragma once

#include <vector>

#include "base/task.h"
#include "proxy/worker.h"

namespace sluice::proxy {

// One after the other, and says of each to worker.responses whether it is gone. A place that cannot be reached, has no
// free slot or refuses for now is asked another time; one that knows no such response, or has no way to delete one, is
// done with.
// Thread:   the worker's.
// Lifetime: the worker outlives it.
// Cancel:   ends with the worker's running calls (RunningCall::drained).
[[nodiscard]] Task<void> erase_responses(Worker& worker, std::vector<store::ResponseRecord> responses);

}  // namespace sluice::proxy
