// The store in one SQLite file: the default, no server needed.
//
// WAL, so that the audit sink's writes and the control thread's reads do not wait for each other. A committed change is
// on disk.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/store.h"

namespace sluice::store {

// What a power cut may take with it.
enum class Durability : std::uint8_t {
  kCommit,      // nothing that was committed: for callers, budgets and agents
  kCheckpoint,  // the last commits, never a part of one: for audit batches
};

// Nothing is opened before connect().
[[nodiscard]] std::unique_ptr<Store> make_sqlite(std::string path, Durability durability = Durability::kCommit);
// One that can be read alone, also while another program holds the file locked. REQUIRES: somebody else of this process
// has connected, which makes and migrates the tables.
[[nodiscard]] std::unique_ptr<Store> make_sqlite_reader(std::string path);
// The same as make_sqlite, connected. Errors: connect()'s.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Store>> open_sqlite(const std::string& path,
                                                                 Durability durability = Durability::kCommit);

// The seals that the file keeps, for who looks at it from outside: a gateway may have it open, and nothing is made,
// migrated or changed. kUnavailable: it cannot be read; kFailedPrecondition: a newer version wrote it, or it is another
// program's.
[[nodiscard]] absl::StatusOr<std::vector<journal::Seal>> read_seals(const std::string& path);

}  // namespace sluice::store
