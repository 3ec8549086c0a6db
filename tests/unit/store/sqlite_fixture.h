// A SQLite store in a folder of its own, with callers made by number.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "store/schema.h"
#include "store/sqlite_store.h"
#include "unit/scratch.h"

namespace sluice::store {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
inline const WallTime kNow{microseconds{1'800'000'000'000'000}};

inline identity::Sha256 hash_of(int n) { return identity::sha256("secret " + std::to_string(n)); }
// Makes a store of version 6 out of one of today, but for its version.
inline absl::Status forget_meters(Database& database) {
  if (absl::Status done = database.exec("DROP TABLE response_items; DROP TABLE responses"); !done.ok()) return done;
  for (const std::string column : {"cache_write_tokens", "audio_input_tokens", "audio_output_tokens", "images",
                                   "seconds", "characters", "searches", "upstream_cost_micros", "price_tier",
                                   "attempts", "refused_kind", "refused_scope", "refused_unit", "refused_period"}) {
    if (absl::Status done = database.exec(("ALTER TABLE audit DROP COLUMN " + column).c_str()); !done.ok()) return done;
  }
  // What came behind them.
  return database.exec(
      "DROP TABLE secrets; DROP TABLE kept_calls; ALTER TABLE audit DROP COLUMN cache_write_1h_tokens");
}
inline std::string text(const absl::Status& status) { return std::string(status.message()); }

struct SqliteStoreTest : testing::Test {
  SqliteStoreTest() { reopen(); }
  void reopen() {
    store.reset();
    auto opened = open_sqlite(path);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store = std::move(*opened);
  }
  std::uint64_t add_tenant(const std::string& name) {
    return *store->add_tenant({.id = 0, .name = name, .limits = {}, .created = kNow, .revoked = {}});
  }
  std::uint64_t add_user(std::uint64_t tenant, const std::string& name) {
    return *store->add_user({.id = 0, .tenant_id = tenant, .name = name, .limits = {}, .created = kNow, .revoked = {}});
  }
  absl::StatusOr<std::uint64_t> add_key(std::uint64_t user, int n, std::vector<std::string> models = {},
                                        std::vector<BudgetSpec> budgets = {}) {
    return store->add_key({.id = 0,
                           .user_id = user,
                           .hash = hash_of(n),
                           .hint = "sk-sluice-AAAA…",
                           .models = std::move(models),
                           .expires = kNow + hours(n),
                           .limits = {.requests_per_minute = 60, .tokens_per_minute = {}, .concurrency = 4},
                           .created = kNow,
                           .revoked = {}},
                          budgets);
  }

  Scratch scratch;
  const std::string path = scratch.file("sluice.db");
  std::unique_ptr<Store> store;
};

}  // namespace sluice::store
