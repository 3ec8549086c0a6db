// One file that holds a store and what belongs to it, made while the store is in use, and brought back from there.
//
// The file is an SQLite database: the store's tables as they were at one moment, and one table more,
//
//   backup_parts   name TEXT, value BLOB      the agents' CA, the seals' key, how far journal and revocations had come
//
// The copy reads in a transaction of its own, which in a WAL store sees one moment for as long as it lives: nobody's
// writes make it begin again, and nobody waits for it. What it costs is that the WAL grows meanwhile.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "store/revocation_log.h"

namespace sluice::store {

using BackupParts = std::map<std::string, std::string>;

// Writes the backup beside `file`, then gives it its name. Blocks for as long as the copy takes, a slice of pages at a
// time; `cancelled` ends it between two. kAlreadyExists: the file is there; kCancelled; kUnavailable: what the disk
// says. After an error nothing is left behind.
// Thread: one that nobody waits on.
absl::Status write_backup(const std::string& store_path, const BackupParts& parts, const std::string& file,
                          const std::atomic<bool>& cancelled);

// The parts of a backup. kFailedPrecondition: it is none, or of a newer version; kDataLoss: it is damaged.
[[nodiscard]] absl::StatusOr<BackupParts> read_backup(const std::string& file);

// The highest ids that were ever given, as far as anybody knows.
struct HighestIds {
  std::uint64_t tenant = 0, user = 0, key = 0;
  void raise_to(const HighestIds& other) noexcept;
};
// Those of a store that is about to be replaced; nothing of one that cannot be read.
[[nodiscard]] HighestIds highest_ids(const std::string& store_path);

struct BroughtBack {
  std::size_t revoked = 0;                               // by the log, behind the backup
  std::size_t suspended_keys = 0, suspended_agents = 0;  // without the log
};
// Makes the new file `into` the store that the backup holds, ready to be used: migrated, its pairing keys spent, new
// ids above `given`. With `log` everything in it is done again; without, every key and agent is suspended.
// kAlreadyExists: `into` is there.
[[nodiscard]] absl::StatusOr<BroughtBack> bring_back(const std::string& file, const std::string& into,
                                                     const std::optional<std::vector<Revocation>>& log,
                                                     const HighestIds& given, WallTime now);

// The whole store in its one file, nobody else's connection on it. kFailedPrecondition: somebody has it open.
// kDataLoss: it is damaged, so nothing was folded.
absl::Status fold_wal(const std::string& store_path);

}  // namespace sluice::store
