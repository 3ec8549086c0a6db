// Proves that the journal is whole: `sluice audit verify`.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "journal/usage_store.h"

namespace sluice::journal {

// Paths of the segments in a journal directory, in order.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> list_segments(const std::string& dir);
// Error NotFound: there is none yet.
[[nodiscard]] absl::StatusOr<std::string> read_seal_key(const std::string& dir);

struct Verified {
  std::uint64_t sealed_segments = 0;
  std::uint64_t sealed_records = 0;
  std::uint64_t open_segments = 0;  // at the end, not sealed yet: nothing is proven of them
  std::uint64_t open_records = 0;
  std::uint64_t tokens = 0, cost_micros = 0;  // that sealed segments charge
  std::vector<std::string> faults;            // one line each; empty: whole
};

// Reads every segment in `dir` and recomputes the chain; `stored` are the seals that the store keeps. A segment that
// was removed because it was old is no fault as long as all before it are gone as well. May run beside a gateway.
// Errors: what the disk says.
[[nodiscard]] absl::StatusOr<Verified> verify_journal(const std::string& dir, const std::vector<Seal>& stored);

}  // namespace sluice::journal
