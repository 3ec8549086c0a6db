// Callers, agents and the file itself in a SQLite store; what it keeps of calls: sqlite_records_test.cc.
#include "store/sqlite_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "unit/store/sqlite_fixture.h"

namespace sluice::store {
namespace {

TEST_F(SqliteStoreTest, AChangedAndRotatedKeyIsReadBackAsItWasWritten) {
  const auto id = *add_key(add_user(add_tenant("acme"), "ada"), 1, {"a", "b"});
  KeyRecord key = *store->key(id);
  const identity::Sha256 old = key.hash;
  identity::Sha256 fresh{};
  fresh[0] = 99;
  key.name = "laptop";
  key.models = {"c"};
  key.expires = kNow + minutes(5);
  key.limits.requests_per_minute = 7;
  key.suspended = kNow;
  ASSERT_TRUE(store->update_key(key).ok());
  ASSERT_TRUE(store->rotate_key(id, fresh, "sk-sluice-new…", kNow + minutes(1)).ok());
  reopen();
  std::vector<KeyRecord> all{*store->key(id)};
  ASSERT_TRUE(store->each_key([&](KeyRecord&& one) { all.push_back(std::move(one)); }).ok());
  for (const KeyRecord& read : all) {
    EXPECT_EQ(read.name, "laptop");
    EXPECT_EQ(read.models, std::vector<std::string>{"c"});
    EXPECT_EQ(read.expires, key.expires);
    EXPECT_EQ(read.limits, key.limits);
    EXPECT_EQ(read.suspended, kNow);
    EXPECT_EQ(read.hash, fresh);
    EXPECT_EQ(read.hint, "sk-sluice-new…");
    ASSERT_TRUE(read.replaced.has_value());
    EXPECT_EQ(read.replaced->hash, old);
    EXPECT_EQ(read.replaced->until, kNow + minutes(1));
  }
  key.id = id + 1;
  EXPECT_TRUE(absl::IsNotFound(store->update_key(key)));
  EXPECT_TRUE(absl::IsNotFound(store->rotate_key(id + 1, old, "", kNow)));
}

TEST_F(SqliteStoreTest, AKeyStaysSuspendedUntilItIsResumed) {
  const auto key = *add_key(add_user(add_tenant("acme"), "ada"), 1);
  ASSERT_TRUE(store->set_suspended(key, kNow).ok());
  ASSERT_TRUE(store->set_suspended(key, kNow + minutes(1)).ok());
  reopen();
  EXPECT_EQ(store->key(key)->suspended, kNow);
  ASSERT_TRUE(store->set_suspended(key, std::nullopt).ok());
  EXPECT_FALSE(store->key(key)->suspended.has_value());
  EXPECT_TRUE(absl::IsNotFound(store->set_suspended(key + 1, kNow)));
}

TEST_F(SqliteStoreTest, CallersComeBackAfterARestartAsTheyWere) {
  const auto tenant = add_tenant("acme");
  const auto user = add_user(tenant, "ada");
  const auto plain = *add_key(user, 1);
  const auto scoped = *add_key(user, 2, {"qwen", "llama"},
                               {{.amount = 500}, {.unit = BudgetUnit::kMicroUsd, .amount = 7, .soft = true}});
  ASSERT_TRUE(store->revoke(Scope::kKey, plain, kNow).ok());
  reopen();
  std::vector<KeyRecord> keys;
  ASSERT_TRUE(store->each_key([&](KeyRecord&& key) { keys.push_back(std::move(key)); }).ok());
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].id, plain);
  EXPECT_EQ(keys[0].revoked, kNow);
  EXPECT_TRUE(keys[0].models.empty());
  EXPECT_EQ(keys[1].id, scoped);
  EXPECT_EQ(keys[1].hash, hash_of(2));
  EXPECT_EQ(keys[1].models, (std::vector<std::string>{"llama", "qwen"}));
  EXPECT_EQ(keys[1].expires, kNow + hours(2));
  EXPECT_EQ(keys[1].limits.requests_per_minute, 60u);
  EXPECT_FALSE(keys[1].limits.tokens_per_minute.has_value());
  EXPECT_EQ(keys[1].limits.concurrency, 4u);
  EXPECT_FALSE(keys[1].revoked.has_value());
  const auto budgets = *store->budgets();
  ASSERT_EQ(budgets.size(), 2u);
  EXPECT_EQ(budgets[0].subject, scoped);
  EXPECT_EQ(store->key(scoped)->models.size(), 2u);
  EXPECT_EQ(store->list_keys({.tenant_id = 0, .user_id = user}, plain, 10)->size(), 1u);
  EXPECT_EQ(store->list_keys({}, 0, 1)->size(), 1u);
}

TEST_F(SqliteStoreTest, ANameIsTakenUntilItIsRevoked) {
  const auto tenant = add_tenant("acme");
  const TenantRecord again{.id = 0, .name = "acme", .limits = {}, .created = kNow, .revoked = {}};
  const auto refused = store->add_tenant(again);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(text(refused.status()), "tenant acme exists already");
  ASSERT_TRUE(store->revoke(Scope::kTenant, tenant, kNow).ok());
  EXPECT_EQ(store->find_tenant("acme")->id, tenant);
  const auto second = store->add_tenant(again);
  ASSERT_TRUE(second.ok());
  EXPECT_NE(*second, tenant);
  EXPECT_EQ(store->find_tenant("acme")->id, *second);
}

TEST_F(SqliteStoreTest, WhatIsMissingIsNotFoundAndNothingIsLeftBehind) {
  EXPECT_EQ(store->tenant(9).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->find_user(9, "x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->revoke(Scope::kUser, 9, kNow).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->set_limits(Scope::kKey, 9, {}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->add_user({.id = 0, .tenant_id = 9, .name = "x", .limits = {}, .created = kNow, .revoked = {}})
                .status()
                .code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(add_key(9, 1, {"m"}, {{.amount = 1}}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store->budgets()->empty());
}

TEST_F(SqliteStoreTest, BudgetsAreReplacedAndRemoved) {
  BudgetRecord budget{.scope = Scope::kUserModel, .subject = 3, .model = "qwen", .spec = {.amount = 100}};
  ASSERT_TRUE(store->set_budget(budget).ok());
  budget.spec.amount = 250;
  ASSERT_TRUE(store->set_budget(budget).ok());
  EXPECT_EQ(*store->budgets(), std::vector{budget});
  ASSERT_TRUE(store->remove_budget(budget).ok());
  EXPECT_EQ(store->remove_budget(budget).code(), absl::StatusCode::kNotFound);
}

TEST_F(SqliteStoreTest, APairingKeyIsConsumedOnceWhoeverRaces) {
  ASSERT_TRUE(store->add_pairing_key(hash_of(1), {}, kNow, kNow + minutes(15)).ok());
  EXPECT_EQ(store->pair_agent(hash_of(2), "gpu", kNow).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->pair_agent(hash_of(1), "gpu", kNow + minutes(15)).status().code(), absl::StatusCode::kNotFound)
      << "expired";
  std::atomic<int> paired{0};
  std::vector<std::thread> racers;
  for (int i = 0; i < 4; ++i) {
    racers.emplace_back([&, i] {
      auto own = open_sqlite(path);
      ASSERT_TRUE(own.ok());
      if ((*own)->pair_agent(hash_of(1), "gpu" + std::to_string(i), kNow).ok()) paired.fetch_add(1);
    });
  }
  for (auto& racer : racers) racer.join();
  EXPECT_EQ(paired.load(), 1);
  EXPECT_EQ(store->agents()->size(), 1u);
}

TEST_F(SqliteStoreTest, PairingKeysThatAreStillGoodAreListed) {
  for (const int key : {1, 2, 3})
    ASSERT_TRUE(store->add_pairing_key(hash_of(key), {}, kNow, kNow + std::chrono::minutes(key)).ok());
  ASSERT_TRUE(store->pair_agent(hash_of(3), "gpu", kNow).ok());
  const auto keys = store->pairing_keys(kNow + std::chrono::seconds(90));
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(*keys, std::vector<identity::Sha256>{hash_of(2)});
  EXPECT_EQ(store->pairing_keys(kNow)->size(), 2U);
}

TEST_F(SqliteStoreTest, AnAgentIsBoundAsItsPairingKeyIs) {
  const identity::Binding binding{
      .which = identity::BoundModels::kListed, .models = {"a \"model\"", "qwen"}, .tenants = {3, 7}};
  ASSERT_TRUE(store->add_pairing_key(hash_of(1), binding, kNow, kNow + minutes(15)).ok());
  const auto paired = store->pair_agent(hash_of(1), "gpu", kNow);
  ASSERT_TRUE(paired.ok()) << paired.status();
  EXPECT_EQ(paired->binding, binding);
  reopen();
  EXPECT_EQ(store->agents()->at(0).binding, binding);
}

TEST_F(SqliteStoreTest, AnAgentThatWasPairedBeforeBindingsIsBoundToWhatItServedLast) {
  ASSERT_TRUE(store->add_pairing_key(hash_of(1), {}, kNow, kNow + minutes(15)).ok());
  const std::uint64_t id = store->pair_agent(hash_of(1), "gpu", kNow)->id;
  ASSERT_TRUE(store->set_known_models(id, std::vector<std::string>{"qwen", "llama"}, kNow).ok());
  store.reset();
  {
    auto database = *Database::open(path, std::chrono::seconds(1));
    for (const std::string table : {"agents", "pairing_keys"}) {
      for (const std::string column : {"bound", "models", "tenants"})
        ASSERT_TRUE(database.exec(("ALTER TABLE " + table + " DROP COLUMN " + column).c_str()).ok());
    }
    ASSERT_TRUE(forget_meters(database).ok());
    ASSERT_TRUE(database.exec("PRAGMA user_version = 5").ok());
  }
  reopen();
  const identity::Binding expected{
      .which = identity::BoundModels::kAsBefore, .models = {"llama", "qwen"}, .tenants = {}};
  EXPECT_EQ(store->agents()->at(0).binding, expected);
}

TEST_F(SqliteStoreTest, ARevokedAgentsModelsAreNotKnownAndItGetsNoCertificate) {
  std::vector<std::uint64_t> agents;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(store->add_pairing_key(hash_of(i), {}, kNow, kNow + minutes(15)).ok());
    agents.push_back(store->pair_agent(hash_of(i), "gpu", kNow)->id);
    ASSERT_TRUE(store->set_agent_certificate(agents[i], "ab12", kNow + hours(1)).ok());
    ASSERT_TRUE(store->set_known_models(agents[i], std::vector<std::string>{"old"}, kNow).ok());
    ASSERT_TRUE(store->set_known_models(agents[i], std::vector<std::string>{"qwen", "llama"}, kNow).ok());
  }
  EXPECT_EQ(store->known_models()->size(), 4u);
  ASSERT_TRUE(store->revoke_agent(agents[0], kNow).ok());
  EXPECT_EQ(store->known_models()->size(), 2u);
  EXPECT_EQ(store->set_agent_certificate(agents[0], "cd34", kNow).code(), absl::StatusCode::kNotFound);
  const auto all = *store->agents();
  for (const AgentRecord& agent : all) {
    EXPECT_EQ(agent.revoked.has_value(), agent.id == agents[0]);
    EXPECT_EQ(agent.fingerprint, "ab12");
  }
}

// Whether another process finds this one's lock on the file: SQLite's own, which a WAL file's owner holds all the time.
bool locked_for_others(const std::string& path) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 0x40000002;
    lock.l_len = 510;
    ::_exit(file >= 0 && ::fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

TEST_F(SqliteStoreTest, ItsLocksOutliveWhateverElseThisProcessOpensAndCloses) {
  ASSERT_TRUE(locked_for_others(path));
  ASSERT_TRUE(open_sqlite(path).ok());
  EXPECT_TRUE(locked_for_others(path)) << "behind a second store on the file";
  ASSERT_TRUE(read_seals(path).ok());
  EXPECT_TRUE(locked_for_others(path)) << "behind a reader";
}

TEST_F(SqliteStoreTest, WhoLooksAtTheSealsChangesNothing) {
  const std::string none = scratch.file("none.db");
  EXPECT_TRUE(absl::IsUnavailable(read_seals(none).status()));
  EXPECT_FALSE(std::filesystem::exists(none));
  store.reset();
  {
    auto database = *Database::open(path, std::chrono::seconds(1));
    ASSERT_TRUE(database.exec("ALTER TABLE keys DROP COLUMN suspended_us; PRAGMA user_version = 1").ok());
  }
  EXPECT_TRUE(read_seals(path).ok());
  auto database = *Database::open(path, std::chrono::seconds(1));
  EXPECT_EQ(*read_version(database, path), 1) << "not migrated";
}

TEST_F(SqliteStoreTest, AStoreThatMayNotBeWrittenIsNotOpened) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everything";
  store.reset();
  ASSERT_EQ(::chmod(path.c_str(), 0400), 0);
  const auto opened = open_sqlite(path);
  EXPECT_TRUE(absl::IsUnavailable(opened.status()));
  EXPECT_NE(text(opened.status()).find("may write"), std::string::npos) << opened.status();
}

TEST_F(SqliteStoreTest, OnlyItsOwnerMayReadIt) {
  struct stat info {};
  for (const char* end : {"", "-wal", "-shm"}) {
    ASSERT_EQ(::stat((path + end).c_str(), &info), 0) << end;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << end;
  }
}

TEST_F(SqliteStoreTest, AStoreFromANewerSluiceIsRefusedAndLeftAlone) {
  store.reset();
  {
    auto database = *Database::open(path, std::chrono::seconds(1));
    ASSERT_TRUE(database.exec("PRAGMA user_version = 99").ok());
  }
  const auto opened = open_sqlite(path);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(text(opened.status()).find("was written by a newer sluice"), std::string::npos) << opened.status();
  EXPECT_EQ(text(opened.status()).find('\n'), std::string::npos);
}

TEST_F(SqliteStoreTest, AnotherProgramsFileIsRefused) {
  const std::string other = scratch.file("other.db");
  {
    auto database = *Database::open(other, std::chrono::seconds(1));
    ASSERT_TRUE(database.exec("CREATE TABLE songs (title TEXT)").ok());
  }
  EXPECT_NE(text(open_sqlite(other).status()).find("another program"), std::string::npos);
  std::ofstream(scratch.file("text.db")) << std::string(4096, 'x');
  EXPECT_EQ(open_sqlite(scratch.file("text.db")).status().code(), absl::StatusCode::kDataLoss);
  const absl::Status missing = open_sqlite(scratch.file("no/such/folder.db")).status();
  EXPECT_NE(text(missing).find("No such file or directory"), std::string::npos);
}

}  // namespace
}  // namespace sluice::store
