// Where the journal holds one call while it runs.
#pragma once

#include <cstdint>

namespace sluice::journal {

inline constexpr std::int64_t kCostUnknown = -1;

// Written by the policy that journals, read by whoever makes the call's record.
// Thread:   the worker of its call.
// Lifetime: in the call's frame.
struct Entry {
  std::uint32_t admit_segment = 0;    // the segment of its admit; 0: it was not journalled
  std::int64_t next_progress_ns = 0;  // of the monotonic clock: when the journal is told again how far the stream is
};

}  // namespace sluice::journal
