#include "store/backup.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/background.h"
#include "base/files.h"
#include "store/schema.h"
#include "store/sqlite.h"
#include "store/sqlite_parts.h"

namespace sluice::store {
namespace {

constexpr int kSlicePages = 64;
constexpr std::chrono::milliseconds kPatientTime{5'000};
constexpr std::chrono::milliseconds kBusyPause{20};

absl::Status file_error(const char* what, const std::string& path, int reason) {
  const std::string text = std::string("cannot ") + what + " " + path + ": " + std::strerror(reason);
  return reason == EEXIST ? absl::AlreadyExistsError(path + " is there already; name a file that is not")
                          : absl::UnavailableError(text);
}

// A file under way, with what SQLite puts beside it: gone unless it was kept.
class Unfinished final {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  ~Unfinished() {
    if (!kept_) remove();
  }
  void remove() const noexcept {
    for (const char* end : {"", "-journal", "-wal", "-shm"}) ::unlink((path_ + end).c_str());
  }
  void keep() noexcept { kept_ = true; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  const std::string path_;
  bool kept_ = false;
};

class Copy final {
 public:
  Copy(Database& into, Database& from)
      : into_(into), copy_(sqlite3_backup_init(into.handle(), "main", from.handle(), "main")) {}
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy() { sqlite3_backup_finish(copy_); }

  absl::Status run(const std::atomic<bool>& cancelled) {
    if (copy_ == nullptr) return into_.error(sqlite3_errcode(into_.handle()));
    for (;;) {
      if (cancelled.load(std::memory_order_relaxed))
        return absl::CancelledError(
            "the backup was broken off: the gateway ends, or it took longer than [store] backup_time");
      const int code = sqlite3_backup_step(copy_, kSlicePages);
      if (code == SQLITE_DONE) return absl::OkStatus();
      if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
        std::this_thread::sleep_for(kBusyPause);
      else if (code != SQLITE_OK)
        return into_.error(code);
      give_way();
    }
  }

 private:
  Database& into_;
  sqlite3_backup* copy_;
};

absl::Status put_parts(Database& database, const BackupParts& parts) {
  if (absl::Status made = database.exec("CREATE TABLE backup_parts (name TEXT PRIMARY KEY, value BLOB NOT NULL)");
      !made.ok())
    return made;
  Statement add(database, "INSERT INTO backup_parts (name, value) VALUES (?,?)");
  for (const auto& [name, value] : parts) {
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(value.data()), value.size());
    if (absl::Status added = add.bind(name, bytes).run(); !added.ok()) return added;
    add.rewind();
  }
  return absl::OkStatus();
}

absl::Status copy_store(const std::string& store_path, const BackupParts& parts, const std::string& into,
                        const std::atomic<bool>& cancelled) {
  auto from = Database::open(store_path, kPatientTime, Database::Access::kRead);
  if (!from.ok()) return from.status();
  // From its first read on the transaction sees one moment.
  if (absl::Status begun = from->exec("BEGIN; SELECT count(*) FROM sqlite_schema"); !begun.ok()) return begun;
  auto copy = Database::open(into, kPatientTime);
  if (!copy.ok()) return copy.status();
  // Nobody sees the file before it has been synced as a whole.
  if (absl::Status set = copy->exec("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF"); !set.ok()) return set;
  if (absl::Status copied = Copy(*copy, *from).run(cancelled); !copied.ok()) return copied;
  // The copy says of itself that it has a WAL, as the store does.
  if (absl::Status set = copy->exec("PRAGMA journal_mode = DELETE"); !set.ok()) return set;
  return put_parts(*copy, parts);
}

// The file opened for reading, and known to be a backup that this version understands.
absl::StatusOr<Database> open_backup(const std::string& file) {
  if (::access(file.c_str(), R_OK) != 0) return file_error("read", file, errno);
  auto database = Database::open(file, kPatientTime, Database::Access::kRead);
  if (!database.ok()) return database.status();
  const auto version = read_version(*database, file);
  if (!version.ok()) return version.status();
  Statement table(*database, "SELECT 1 FROM sqlite_schema WHERE name = 'backup_parts'");
  if (!table.next())
    return table.status().ok() ? absl::FailedPreconditionError(file + " is no backup of sluice's; see: sluice backup")
                               : table.status();
  return database;
}

absl::Status run_all(Database& database, std::initializer_list<std::string_view> statements) {
  for (const std::string_view sql : statements)
    if (absl::Status done = database.exec(std::string(sql).c_str()); !done.ok()) return done;
  return absl::OkStatus();
}

absl::StatusOr<std::size_t> apply(Database& database, const std::vector<Revocation>& log) {
  static constexpr std::array<const char*, 4> kTables{"tenants", "users", "keys", "agents"};
  std::size_t revoked = 0;
  for (const Revocation& one : log) {
    const std::string table = kTables[static_cast<std::size_t>(one.of)];
    const bool of_key = one.of == Revocation::Of::kKey;
    if (one.act == Revocation::Act::kRotate || (one.act != Revocation::Act::kRevoke && !of_key)) continue;
    const char* what = one.act == Revocation::Act::kRevoke    ? "revoked_us = ?1 WHERE revoked_us IS NULL"
                       : one.act == Revocation::Act::kSuspend ? "suspended_us = ?1 WHERE suspended_us IS NULL"
                                                              : "suspended_us = NULL WHERE ?1 IS NOT NULL";
    Statement set(database, "UPDATE " + table + " SET " + what + " AND id = ?2");
    if (absl::Status done = set.bind(one.when, one.id).run(); !done.ok()) return done;
    if (one.act == Revocation::Act::kRevoke) revoked += database.changes();
  }
  // Last, since no resumption knew of it: the backup has the secret that the rotation was to end, so the key waits until
  // somebody rotates it again, or resumes it.
  for (const Revocation& one : log) {
    if (one.act != Revocation::Act::kRotate) continue;
    Statement set(database, "UPDATE keys SET suspended_us = coalesce(suspended_us, ?) WHERE id = ?");
    if (absl::Status done = set.bind(one.when, one.id).run(); !done.ok()) return done;
  }
  return revoked;
}

absl::StatusOr<std::size_t> suspend_all(Database& database, const char* table, WallTime now) {
  Statement set(database, std::string("UPDATE ") + table +
                              " SET suspended_us = ? WHERE suspended_us IS NULL AND revoked_us IS NULL");
  if (absl::Status done = set.bind(now).run(); !done.ok()) return done;
  return database.changes();
}

absl::Status suspend_everybody(Database& database, WallTime now, BroughtBack& counts) {
  const auto keys = suspend_all(database, "keys", now);
  if (!keys.ok()) return keys.status();
  const auto agents = suspend_all(database, "agents", now);
  if (!agents.ok()) return agents.status();
  counts.suspended_keys = *keys;
  counts.suspended_agents = *agents;
  Statement remember(database,
                     "INSERT INTO about (name, value) VALUES (?,?) ON CONFLICT DO UPDATE SET value = excluded.value");
  const std::string since = std::to_string(now.time_since_epoch().count());
  return remember.bind(kSuspendedByRestore, since).run();
}

// An id that was given behind the backup is not given again: records and logs name it.
absl::Status raise_ids(Database& database, const HighestIds& given) {
  for (const auto& [table, id] :
       {std::pair("tenants", given.tenant), std::pair("users", given.user), std::pair("keys", given.key)}) {
    Statement raise(database, "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1");
    if (absl::Status done = raise.bind(std::string_view(table), id).run(); !done.ok()) return done;
    if (database.changes() != 0 || id == 0) continue;
    Statement add(database, "INSERT INTO sqlite_sequence (name, seq) VALUES (?,?)");
    if (absl::Status done = add.bind(std::string_view(table), id).run(); !done.ok()) return done;
  }
  return absl::OkStatus();
}

HighestIds ids_of(const std::vector<Revocation>& log) {
  HighestIds highest;
  for (const Revocation& one : log) {
    if (one.of == Revocation::Of::kTenant) highest.raise_to({.tenant = one.id});
    if (one.of == Revocation::Of::kUser) highest.raise_to({.user = one.id});
    if (one.of == Revocation::Of::kKey) highest.raise_to({.key = one.id});
  }
  return highest;
}

absl::StatusOr<BroughtBack> make_current(Database& database, const std::string& path,
                                         const std::optional<std::vector<Revocation>>& log, HighestIds given,
                                         WallTime now) {
  // The secrets have places of their own; no free page may keep them.
  if (absl::Status done = run_all(database, {"PRAGMA secure_delete = ON", "DROP TABLE backup_parts"}); !done.ok())
    return done;
  if (absl::Status ready = prepare_schema(database, path); !ready.ok()) return ready;
  Transaction transaction(database);
  if (!transaction.status().ok()) return transaction.status();
  BroughtBack counts;
  Statement spend(database, "UPDATE pairing_keys SET consumed_us = ? WHERE consumed_us IS NULL");
  if (absl::Status done = spend.bind(now).run(); !done.ok()) return done;
  if (log) {
    const auto revoked = apply(database, *log);
    if (!revoked.ok()) return revoked.status();
    counts.revoked = *revoked;
    given.raise_to(ids_of(*log));
  } else if (absl::Status done = suspend_everybody(database, now, counts); !done.ok()) {
    return done;
  }
  if (absl::Status done = raise_ids(database, given); !done.ok()) return done;
  if (absl::Status done = transaction.commit(); !done.ok()) return done;
  return counts;
}

}  // namespace

absl::Status write_backup(const std::string& store_path, const BackupParts& parts, const std::string& file,
                          const std::atomic<bool>& cancelled) {
  if (::access(file.c_str(), F_OK) == 0) return file_error("write", file, EEXIST);
  Unfinished partial(file + ".partial");
  partial.remove();  // what a gateway that was killed left of one
  if (const int failed = make_private_file(partial.path()); failed != 0) return file_error("write", file, failed);
  if (absl::Status copied = copy_store(store_path, parts, partial.path(), cancelled); !copied.ok()) return copied;
  if (const int failed = sync_file(partial.path()); failed != 0) return file_error("write", file, failed);
  if (const int failed = rename_to_new(partial.path(), file); failed != 0) return file_error("write", file, failed);
  partial.keep();
  const int failed = sync_folder_of(file);
  return failed == 0 ? absl::OkStatus() : file_error("write", file, failed);
}

absl::StatusOr<BackupParts> read_backup(const std::string& file) {
  auto database = open_backup(file);
  if (!database.ok()) return database.status();
  Statement check(*database, "PRAGMA integrity_check(1)");
  if (!check.next() || check.text(0) != "ok")
    return absl::DataLossError("the backup " + file + " is damaged; take another one");
  BackupParts parts;
  Statement all(*database, "SELECT name, value FROM backup_parts");
  while (all.next()) parts[std::string(all.text(0))] = std::string(all.text(1));
  if (!all.status().ok()) return all.status();
  return parts;
}

void HighestIds::raise_to(const HighestIds& other) noexcept {
  tenant = std::max(tenant, other.tenant);
  user = std::max(user, other.user);
  key = std::max(key, other.key);
}

HighestIds highest_ids(const std::string& store_path) {
  HighestIds highest;
  auto database = Database::open(store_path, kPatientTime, Database::Access::kRead);
  if (!database.ok() || !read_version(*database, store_path).ok()) return highest;
  Statement all(*database, "SELECT name, seq FROM sqlite_sequence");
  while (all.next()) {
    if (all.text(0) == "tenants") highest.tenant = all.count(1);
    if (all.text(0) == "users") highest.user = all.count(1);
    if (all.text(0) == "keys") highest.key = all.count(1);
  }
  return highest;
}

absl::StatusOr<BroughtBack> bring_back(const std::string& file, const std::string& into,
                                       const std::optional<std::vector<Revocation>>& log, const HighestIds& given,
                                       WallTime now) {
  Unfinished fresh(into);
  if (const int failed = copy_to_private_file(file, into); failed != 0) {
    if (failed == EEXIST) fresh.keep();  // it is somebody else's
    return file_error("write", into, failed);
  }
  absl::StatusOr<BroughtBack> done;
  {
    auto database = Database::open(into, kPatientTime);
    if (!database.ok()) return database.status();
    done = make_current(*database, into, log, given, now);
  }
  if (!done.ok()) return done;
  if (const int failed = sync_file(into); failed != 0) return file_error("write", into, failed);
  fresh.keep();
  return done;
}

absl::Status fold_wal(const std::string& store_path) {
  auto database = Database::open(store_path, std::chrono::milliseconds(200));
  if (!database.ok()) return database.status();
  Statement fold(*database, "PRAGMA journal_mode = DELETE");
  const bool row = fold.next();
  if (row && fold.text(0) == "delete") return absl::OkStatus();
  if (row || absl::IsUnavailable(fold.status()))
    return absl::FailedPreconditionError("another program has the store " + store_path +
                                         " open; stop the gateway, or whatever else it is, first");
  return fold.status();
}

}  // namespace sluice::store
