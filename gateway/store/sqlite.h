// SQLite's C interface with owners and Status. A Statement keeps its first error, so that code binds, steps and asks
// once.
//
// Nothing but SQLite may open a store's file in a process that has it open: POSIX locks belong to the process and die
// with the close of any descriptor of the file, whoever opened it.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace sluice::store {

// Thread: one at a time.
class Database final {
 public:
  // Not open yet: whatever is asked of it gives kUnavailable.
  [[nodiscard]] static Database closed(std::string path) { return {nullptr, std::move(path)}; }
  enum class Access : std::uint8_t {
    kWrite,  // makes the file if it is not there, readable by its owner alone
    kRead,   // changes nothing; the file must be there
  };
  // Waits so long for locks of others, here and later.
  [[nodiscard]] static absl::StatusOr<Database> open(const std::string& path, std::chrono::milliseconds busy_time,
                                                     Access access = Access::kWrite);
  void set_busy_time(std::chrono::milliseconds time) noexcept {
    sqlite3_busy_timeout(handle_.get(), static_cast<int>(time.count()));
  }

  // Every statement ends with kCancelled once `ended` is set, by whichever thread. Lifetime: it outlives the database.
  void end_when(const std::atomic<bool>& ended) noexcept;

  [[nodiscard]] sqlite3* handle() const noexcept { return handle_.get(); }
  absl::Status exec(const char* sql);
  // The status for `code`, a result of the last call.
  [[nodiscard]] absl::Status error(int code) const;
  [[nodiscard]] std::int64_t last_id() const noexcept { return sqlite3_last_insert_rowid(handle_.get()); }
  [[nodiscard]] std::size_t changes() const noexcept {
    return static_cast<std::size_t>(sqlite3_changes64(handle_.get()));
  }

 private:
  struct Closer {
    void operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }
  };
  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  std::unique_ptr<sqlite3, Closer> handle_;
  std::string path_;
};

// A transaction that takes its write lock at once and rolls back unless commit() succeeded.
class Transaction final {
 public:
  explicit Transaction(Database& database) : database_(database), status_(database.exec("BEGIN IMMEDIATE")) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }
  absl::Status commit();

 private:
  Database& database_;
  absl::Status status_;
  bool done_ = false;
};

// Lifetime: column views are valid until the next step(), run() or rewind(). The database outlives it.
class Statement final {
 public:
  Statement(Database& database, std::string_view sql);
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Binds from the first parameter on. Texts and bytes are not copied: they outlive the last step.
  template <class... Values>
  Statement& bind(const Values&... values) {
    int at = 0;
    (bind_one(++at, values), ...);
    return *this;
  }
  enum class Step : std::uint8_t { kRow, kEnd };  // an error ends too: see status()
  Step step();
  bool next() { return step() == Step::kRow; }
  // One step that is to give no row.
  absl::Status run() {
    step();
    return status_;
  }
  // Ready to be bound and run again.
  void rewind() noexcept { sqlite3_reset(statement_); }
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }

  [[nodiscard]] bool null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  [[nodiscard]] std::int64_t number(int column) const noexcept { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] std::uint64_t count(int column) const noexcept { return static_cast<std::uint64_t>(number(column)); }
  [[nodiscard]] std::string_view text(int column) const noexcept;
  [[nodiscard]] WallTime time(int column) const noexcept { return WallTime(std::chrono::microseconds(number(column))); }
  [[nodiscard]] std::optional<WallTime> maybe_time(int column) const noexcept {
    return null(column) ? std::nullopt : std::optional(time(column));
  }
  [[nodiscard]] std::optional<std::uint64_t> maybe_count(int column) const noexcept {
    return null(column) ? std::nullopt : std::optional(count(column));
  }

 private:
  template <std::integral T>
  void bind_one(int at, T value) {
    check(sqlite3_bind_int64(statement_, at, static_cast<sqlite3_int64>(value)));
  }
  void bind_one(int at, std::string_view value) {
    check(sqlite3_bind_text64(statement_, at, value.data() == nullptr ? "" : value.data(), value.size(), SQLITE_STATIC,
                              SQLITE_UTF8));
  }
  void bind_one(int at, std::span<const std::uint8_t> value) {
    check(sqlite3_bind_blob64(statement_, at, value.data(), value.size(), SQLITE_STATIC));
  }
  void bind_one(int at, WallTime value) { bind_one(at, value.time_since_epoch().count()); }
  template <class T>
  void bind_one(int at, const std::optional<T>& value) {
    if (value) return bind_one(at, *value);
    check(sqlite3_bind_null(statement_, at));
  }
  void check(int code) {
    if (code != SQLITE_OK && status_.ok()) status_ = database_.error(code);
  }

  Database& database_;
  sqlite3_stmt* statement_ = nullptr;
  absl::Status status_;
};

}  // namespace sluice::store
