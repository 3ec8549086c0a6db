// The journal's part in bringing a store back: a store that is older than the journal takes the rest once more.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "journal/journal.h"

namespace sluice::journal {

// The highest ids that records name.
struct SeenIds {
  std::uint64_t tenant = 0, user = 0, key = 0;
};

// Marks everything behind `stored` as not delivered: the next start hands it to the store, which keeps what it has not.
// Says whose ids stand there. REQUIRES: no gateway uses the directory. Errors: what the disk says, a damaged segment.
[[nodiscard]] absl::StatusOr<SeenIds> deliver_again(const std::string& dir, const JournalPosition& stored);

}  // namespace sluice::journal
