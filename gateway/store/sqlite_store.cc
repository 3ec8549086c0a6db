#include "store/sqlite_store.h"

#include "store/schema.h"
#include "store/sqlite_parts.h"

namespace sluice::store {

absl::StatusOr<std::unique_ptr<Store>> open_sqlite(const std::string& path, Durability durability) {
  auto database = Database::open(path, std::chrono::seconds(5));
  if (!database.ok()) return database.status();
  if (absl::Status set = database->exec("PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL"); !set.ok()) return set;
  const char* sync = durability == Durability::kCommit ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL";
  if (absl::Status set = database->exec(sync); !set.ok()) return set;
  if (absl::Status ready = prepare_schema(*database, path); !ready.ok()) return ready;
  return std::make_unique<SqliteStore>(std::move(*database));
}

}  // namespace sluice::store
