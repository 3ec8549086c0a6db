#include "store/sqlite_store.h"

#include "store/schema.h"
#include "store/sqlite_parts.h"

namespace sluice::store {
namespace {

// For locks of others. Whoever connects can try again; whoever works with the store would lose what it is at.
constexpr std::chrono::milliseconds kConnectBusyTime{500};
constexpr std::chrono::milliseconds kBusyTime{5'000};

}  // namespace

absl::Status SqliteStore::connect() {
  if (database_.handle() != nullptr) return absl::OkStatus();
  auto database = Database::open(path_, kConnectBusyTime, access_);
  if (!database.ok()) return database.status();
  if (access_ == Database::Access::kRead) {
    database->set_busy_time(kBusyTime);
    database->end_when(reads_ended_);
    database_ = *std::move(database);
    return absl::OkStatus();
  }
  if (absl::Status set = database->exec("PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL"); !set.ok()) return set;
  const char* sync = durability_ == Durability::kCommit ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL";
  if (absl::Status set = database->exec(sync); !set.ok()) return set;
  if (absl::Status ready = prepare_schema(*database, path_); !ready.ok()) return ready;
  database->set_busy_time(kBusyTime);
  database_ = *std::move(database);
  return absl::OkStatus();
}

absl::Status SqliteStore::may_change() {
  if (database_.handle() == nullptr) return database_.error(SQLITE_CANTOPEN);
  database_.set_busy_time(std::chrono::milliseconds(0));
  const absl::Status locked = Transaction(database_).status();  // rolled back at once
  database_.set_busy_time(kBusyTime);
  return locked;
}

absl::StatusOr<std::string> SqliteStore::id() { return about(database_, "store_id"); }

absl::StatusOr<std::string> about(Database& database, std::string_view name) {
  Statement row(database, "SELECT value FROM about WHERE name = ?");
  if (row.bind(name).next()) return std::string(row.text(0));
  if (!row.status().ok()) return row.status();
  return absl::NotFoundError("the store does not say its " + std::string(name));
}

std::unique_ptr<Store> make_sqlite(std::string path, Durability durability) {
  return std::make_unique<SqliteStore>(std::move(path), durability);
}

std::unique_ptr<Store> make_sqlite_reader(std::string path) {
  return std::make_unique<SqliteStore>(std::move(path), Durability::kCommit, Database::Access::kRead);
}

absl::StatusOr<std::unique_ptr<Store>> open_sqlite(const std::string& path, Durability durability) {
  std::unique_ptr<Store> store = make_sqlite(path, durability);
  if (absl::Status connected = store->connect(); !connected.ok()) return connected;
  return store;
}

absl::StatusOr<std::vector<journal::Seal>> read_seals(const std::string& path) {
  auto database = Database::open(path, kBusyTime, Database::Access::kRead);
  if (!database.ok()) return database.status();
  const auto version = read_version(*database, path);
  if (!version.ok()) return version.status();
  return *version == 0 ? std::vector<journal::Seal>() : seals_of(*database);
}

}  // namespace sluice::store
