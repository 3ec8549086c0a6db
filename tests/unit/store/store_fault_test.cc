// The n-th write or sync of the store fails, for every n: what was reported as done is there afterwards, and nothing is
// half there.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <map>
#include <string>

#include "store/sqlite_store.h"
#include "unit/scratch.h"

namespace sluice::store {
namespace {

// SQLite's own file system with a fault in it: the default for as long as this lives.
class FaultyFiles final {
 public:
  FaultyFiles() {
    real_ = sqlite3_vfs_find(nullptr);
    faulty_ = *real_;
    faulty_.zName = "faulty";
    faulty_.xOpen = open;
    sqlite3_vfs_register(&faulty_, 1);
  }
  FaultyFiles(const FaultyFiles&) = delete;
  FaultyFiles& operator=(const FaultyFiles&) = delete;
  ~FaultyFiles() {
    sqlite3_vfs_register(real_, 1);
    sqlite3_vfs_unregister(&faulty_);
  }
  // Fails the n-th write or sync from now on, once; 0: none.
  static void fail_at(int n) { countdown_ = n; }
  static bool failed() { return countdown_ == 0; }

 private:
  static int open(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out) {
    const int code = real_->xOpen(real_, name, file, flags, out);
    if (code != SQLITE_OK || file->pMethods == nullptr) return code;
    // Files that are locked and files that are not have tables of their own, with the same functions to write and sync.
    const auto [entry, added] = methods_.try_emplace(file->pMethods, *file->pMethods);
    if (added) {
      real_write_ = file->pMethods->xWrite;
      real_sync_ = file->pMethods->xSync;
      entry->second.xWrite = write;
      entry->second.xSync = sync;
    }
    file->pMethods = &entry->second;
    return code;
  }
  static bool fault_now() { return countdown_ > 0 && --countdown_ == 0; }
  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
    return fault_now() ? SQLITE_FULL : real_write_(file, bytes, size, at);
  }
  static int sync(sqlite3_file* file, int flags) { return fault_now() ? SQLITE_IOERR_FSYNC : real_sync_(file, flags); }

  static inline sqlite3_vfs* real_ = nullptr;
  static inline std::map<const sqlite3_io_methods*, sqlite3_io_methods> methods_;
  static inline decltype(sqlite3_io_methods::xWrite) real_write_ = nullptr;
  static inline decltype(sqlite3_io_methods::xSync) real_sync_ = nullptr;
  static inline int countdown_ = -1;
  sqlite3_vfs faulty_{};
};

const WallTime kMoment{std::chrono::microseconds(1'800'000'000'000'000)};

std::vector<journal::AuditRecord> batch() {
  std::vector<journal::AuditRecord> records(30);
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].boot_id = 1;
    records[i].number = i + 1;
    records[i].key_id = 1;
    records[i].usage = {.source = UsageSource::kMeasured, .prompt_tokens = 2, .completion_tokens = 1};
  }
  return records;
}

TEST(StoreFault, EveryWriteMayFailAndNothingIsHalfDone) {
  FaultyFiles files;
  const Scratch scratch;
  int rounds = 0;
  for (int n = 1;; ++n, ++rounds) {
    ASSERT_LT(n, 1000) << "the fault never goes away";
    const std::string path = scratch.file("store" + std::to_string(n) + ".db");
    auto store = *open_sqlite(path);
    const auto tenant = *store->add_tenant({.id = 0, .name = "acme", .limits = {}, .created = kMoment, .revoked = {}});
    const auto user = *store->add_user(
        {.id = 0, .tenant_id = tenant, .name = "ada", .limits = {}, .created = kMoment, .revoked = {}});
    ASSERT_TRUE(
        store->add_pairing_key(identity::sha256("pairing"), {}, kMoment, kMoment + std::chrono::minutes(15)).ok());

    FaultyFiles::fail_at(n);
    const auto key =
        store->add_key({.id = 0,
                        .user_id = user,
                        .hash = identity::sha256("k"),
                        .hint = "…",
                        .models = {"a", "b"},
                        .expires = {},
                        .limits = {},
                        .created = kMoment,
                        .revoked = {}},
                       std::vector<BudgetSpec>{{.amount = 5}, {.unit = BudgetUnit::kMicroUsd, .amount = 6}});
    const absl::Status revoked = store->revoke(Scope::kTenant, tenant, kMoment);
    const auto agent = store->pair_agent(identity::sha256("pairing"), "gpu", kMoment);
    const absl::Status added = store->add(batch());
    const bool failed = FaultyFiles::failed();
    FaultyFiles::fail_at(-1);
    store.reset();

    store = *open_sqlite(path);
    const auto keys = *store->list_keys({}, 0, 10);
    EXPECT_TRUE(!key.ok() || keys.size() == 1) << n;
    for (const KeyRecord& one : keys) {
      EXPECT_EQ(one.models.size(), 2u) << n;
      EXPECT_EQ(store->budgets_of(Scope::kKey, one.id)->size(), 2u) << n;
    }
    EXPECT_TRUE(!revoked.ok() || store->tenant(tenant)->revoked.has_value()) << n;
    EXPECT_TRUE(!agent.ok() || store->agents()->size() == 1) << n;
    // A pairing key that was not consumed works; one that was does not.
    EXPECT_EQ(store->pair_agent(identity::sha256("pairing"), "gpu", kMoment).ok(), !agent.ok()) << n;
    const std::size_t records = store->audit({}, {}, 100)->records.size();
    EXPECT_TRUE(records == 30 || (records == 0 && !added.ok())) << n << ": " << records;
    ASSERT_TRUE(store->add(batch()).ok()) << "asked again, it takes them";
    const auto sums = *store->sums({});
    ASSERT_FALSE(sums.empty());
    for (const auto& sum : sums) EXPECT_EQ(sum.tokens, 90u) << n << ": each counted once";
    if (!failed) break;
    EXPECT_FALSE(key.ok() && revoked.ok() && agent.ok() && added.ok()) << n << ": somebody was told";
  }
  EXPECT_GT(rounds, 10) << "the fault struck often enough to mean something";
}

}  // namespace
}  // namespace sluice::store
