// Connects to whichever of a host's addresses answers first (RFC 8305, 5): each has a quarter of a second before the
// next one is tried beside it, or no more of it once it has failed.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "net/stream.h"
#include "net/task_group.h"

namespace sluice::http {

struct RaceResult {
  std::unique_ptr<net::Stream> stream;  // null: none answered
  net::Endpoint endpoint;               // of the stream
  Error error;                          // where there is no stream: of the last one that failed
  std::vector<net::Endpoint> beaten;    // that failed, or were slower by an attempt's time
};

// `endpoints` in the order to try. Attempts that are still under way behind the return close their connection by
// themselves, at `deadline` at the latest; they run in `tasks`. Errors: kConnect or kTimeout, retry yes.
[[nodiscard]] Task<RaceResult> connect_race(net::Loop& loop, net::TaskGroup& tasks,
                                            std::span<const net::Endpoint> endpoints, net::Deadline deadline);

}  // namespace sluice::http
