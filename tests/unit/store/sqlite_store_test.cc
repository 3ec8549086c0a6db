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
#include <tuple>

#include "store/schema.h"
#include "unit/scratch.h"

namespace sluice::store {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
const WallTime kNow{microseconds{1'800'000'000'000'000}};

identity::Sha256 hash_of(int n) { return identity::sha256("secret " + std::to_string(n)); }
// Makes a store of version 6 out of one of today, but for its version.
absl::Status forget_meters(Database& database) {
  for (const std::string column : {"cache_write_tokens", "audio_input_tokens", "audio_output_tokens", "images",
                                   "seconds", "characters", "searches", "upstream_cost_micros", "price_tier",
                                   "attempts", "refused_kind", "refused_scope", "refused_unit", "refused_period"}) {
    if (absl::Status done = database.exec(("ALTER TABLE audit DROP COLUMN " + column).c_str()); !done.ok()) return done;
  }
  return absl::OkStatus();
}
std::string text(const absl::Status& status) { return std::string(status.message()); }

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

journal::AuditRecord record_of(std::uint64_t number, WallTime began, std::string_view tenant, std::string_view model) {
  journal::AuditRecord r;
  r.boot_id = 0xfedcba9876543210;
  r.number = number;
  r.began = began;
  r.request_id = "req_" + std::to_string(number);
  r.tenant = tenant;
  r.tenant_id = 1, r.user_id = 2, r.key_id = 3;
  r.user = "ada";
  r.model = model;
  r.model_served = "served-" + std::string(model);
  r.channel = "api";
  r.endpoint = "chat.completions";
  r.upstream = "gpu1";
  r.status = 200;
  r.end_reason = EndReason::kCompleted;
  r.stream = true;
  r.usage = {.source = UsageSource::kMeasured,
             .prompt_tokens = 11,
             .cached_tokens = 2,
             .completion_tokens = 7,
             .reasoning_tokens = 3,
             .cache_write_tokens = 4,
             .audio_input_tokens = 5,
             .audio_output_tokens = 6,
             .images = 8,
             .seconds = 9,
             .characters = 10,
             .searches = 12};
  r.upstream_cost_micros = 77;
  r.price_tier = 2;
  r.attempts = 3;
  r.refused_by = {RefusalKind::kSpent, Scope::kUserModel, BudgetUnit::kMicroUsd, BudgetPeriod::kMonth};
  r.cost_micros = 99;
  r.ttft = microseconds(1500);
  r.duration = microseconds(9000);
  r.bytes_in = 100, r.bytes_out = 2000;
  r.client_ip = "10.1.2.0/24";
  r.labels = R"({"team":"a"})";
  r.client_request_id = "mine-1";
  return r;
}

TEST_F(SqliteStoreTest, AnAuditRecordComesBackWhole) {
  ASSERT_TRUE(store->add(std::vector{record_of(1, kNow, "acme", "qwen")}).ok());
  const auto page = *store->audit({}, {}, 10);
  ASSERT_EQ(page.records.size(), 1u);
  const journal::AuditRecord& r = page.records[0];
  EXPECT_EQ(r.boot_id, 0xfedcba9876543210u);
  EXPECT_EQ(r.number, 1u);
  EXPECT_EQ(r.began, kNow);
  EXPECT_EQ(r.request_id, "req_1");
  EXPECT_EQ(r.tenant, "acme");
  EXPECT_EQ(r.user, "ada");
  EXPECT_EQ(r.key_id, 3u);
  EXPECT_EQ(r.model, "qwen");
  EXPECT_EQ(r.model_served, "served-qwen");
  EXPECT_EQ(r.upstream, "gpu1");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.end_reason, EndReason::kCompleted);
  EXPECT_TRUE(r.stream);
  EXPECT_EQ(r.usage.source, UsageSource::kMeasured);
  EXPECT_EQ(r.usage.prompt_tokens, 11u);
  EXPECT_EQ(r.usage.cached_tokens, 2u);
  EXPECT_EQ(r.usage.completion_tokens, 7u);
  EXPECT_EQ(r.usage.reasoning_tokens, 3u);
  EXPECT_EQ(r.usage.cache_write_tokens, 4u);
  EXPECT_EQ(r.usage.audio_input_tokens, 5u);
  EXPECT_EQ(r.usage.audio_output_tokens, 6u);
  EXPECT_EQ(r.usage.images, 8u);
  EXPECT_EQ(r.usage.seconds, 9u);
  EXPECT_EQ(r.usage.characters, 10u);
  EXPECT_EQ(r.usage.searches, 12u);
  EXPECT_EQ(r.upstream_cost_micros, 77);
  EXPECT_EQ(r.price_tier, 2);
  EXPECT_EQ(r.attempts, 3);
  EXPECT_EQ(r.refused_by, record_of(1, kNow, "acme", "qwen").refused_by);
  EXPECT_EQ(r.cost_micros, 99u);
  EXPECT_EQ(r.ttft, microseconds(1500));
  EXPECT_EQ(r.duration, microseconds(9000));
  EXPECT_EQ(r.bytes_in, 100u);
  EXPECT_EQ(r.bytes_out, 2000u);
  EXPECT_EQ(r.client_ip, "10.1.2.0/24");
  EXPECT_EQ(r.labels, R"({"team":"a"})");
  EXPECT_EQ(r.client_request_id, "mine-1");
}

// Most records have none of these, and are stored another way.
TEST_F(SqliteStoreTest, ARecordThatSaysOneRareThingComesBackWithItAmongOthersThatSayNone) {
  using Set = void (*)(journal::AuditRecord&);
  constexpr Set kSets[] = {
      [](journal::AuditRecord& r) { r.usage.cache_write_tokens = 4; },
      [](journal::AuditRecord& r) { r.usage.audio_input_tokens = 5; },
      [](journal::AuditRecord& r) { r.usage.audio_output_tokens = 6; },
      [](journal::AuditRecord& r) { r.usage.images = 7; },
      [](journal::AuditRecord& r) { r.usage.seconds = 8; },
      [](journal::AuditRecord& r) { r.usage.characters = 9; },
      [](journal::AuditRecord& r) { r.usage.searches = 10; },
      [](journal::AuditRecord& r) { r.upstream_cost_micros = 0; },
      [](journal::AuditRecord& r) { r.price_tier = 1; },
      [](journal::AuditRecord& r) { r.refused_by.kind = RefusalKind::kTokens; },
      [](journal::AuditRecord& r) { r.refused_by.scope = Scope::kModel; },
      [](journal::AuditRecord& r) { r.refused_by.unit = BudgetUnit::kMicroUsd; },
      [](journal::AuditRecord& r) { r.refused_by.period = BudgetPeriod::kMonth; },
  };
  const auto rare_of = [](const journal::AuditRecord& r) {
    const Usage& u = r.usage;
    return std::tuple(u.cache_write_tokens, u.audio_input_tokens, u.audio_output_tokens, u.images, u.seconds,
                      u.characters, u.searches, r.upstream_cost_micros, r.price_tier, r.attempts, r.refused_by.kind,
                      r.refused_by.scope, r.refused_by.unit, r.refused_by.period);
  };
  std::vector<journal::AuditRecord> added;
  for (const Set set : kSets) {
    for (const Set each : {set, Set{[](journal::AuditRecord&) {}}}) {
      journal::AuditRecord r;
      r.boot_id = 1;
      r.number = added.size() + 1;
      r.began = kNow + std::chrono::seconds(added.size());
      r.attempts = 3;
      each(r);
      added.push_back(r);
    }
  }
  ASSERT_TRUE(store->add(added).ok());
  const auto page = *store->audit({}, {}, 100);
  ASSERT_EQ(page.records.size(), added.size());
  for (const journal::AuditRecord& r : page.records)
    EXPECT_EQ(rare_of(r), rare_of(added[r.number - 1])) << "record " << r.number;
}

TEST_F(SqliteStoreTest, ARecordOfBeforeTheMetersIsStillThereAndHasNoneOfThem) {
  ASSERT_TRUE(store->add(std::vector{record_of(1, kNow, "acme", "qwen")}).ok());
  store.reset();
  {
    auto database = *Database::open(path, std::chrono::seconds(1));
    ASSERT_TRUE(forget_meters(database).ok());
    ASSERT_TRUE(database.exec("PRAGMA user_version = 6").ok());
  }
  reopen();
  const auto page = *store->audit({}, {}, 10);
  ASSERT_EQ(page.records.size(), 1u);
  EXPECT_EQ(page.records[0].usage.total(), 18u);
  EXPECT_EQ(page.records[0].client_request_id, "mine-1");
  EXPECT_EQ(page.records[0].usage.cache_write_tokens, 0u);
  EXPECT_EQ(page.records[0].attempts, 0);
  EXPECT_EQ(page.records[0].upstream_cost_micros, journal::kCostUnknown);
  EXPECT_EQ(page.records[0].refused_by, ledger::RefusedBy{});
}

TEST_F(SqliteStoreTest, AuditIsIdempotentOnTheCallsNumber) {
  const std::vector batch{record_of(1, kNow, "acme", "qwen"), record_of(2, kNow, "acme", "qwen")};
  ASSERT_TRUE(store->add(batch).ok());
  ASSERT_TRUE(store->add(batch).ok());
  ASSERT_TRUE(store->add(std::vector{batch[1], record_of(3, kNow, "acme", "qwen"), batch[0]}).ok());
  EXPECT_EQ(store->audit({}, {}, 10)->records.size(), 3u);
  const auto sums = *store->sums({});
  EXPECT_EQ(sums.size(), 5u);
  for (const auto& sum : sums) EXPECT_EQ(sum.tokens, 3 * 18u) << "and is summed once";
}

TEST_F(SqliteStoreTest, UseIsSummedByScopeAndDay) {
  auto today = record_of(1, kNow, "acme", "qwen"), yesterday = record_of(2, kNow, "acme", "llama");
  today.day_us = 2000;
  yesterday.day_us = 1000;
  auto none = record_of(3, kNow, "acme", "refused");
  none.usage = {};
  none.cost_micros = 0;
  ASSERT_TRUE(store->add(std::vector{today, yesterday, none}).ok());
  ASSERT_TRUE(store->prune_audit(kNow + hours(1), 100).ok());  // the sums outlive the records
  const auto sum = [&](std::int64_t since, Scope scope, std::string_view model) -> std::uint64_t {
    const auto sums = *store->sums({.when = {.begin_us = since}});
    for (const auto& one : sums)
      if (one.scope == scope && one.model == model) return one.tokens;
    return 0;
  };
  EXPECT_EQ(sum(0, Scope::kKey, ""), 36u);
  EXPECT_EQ(sum(0, Scope::kUser, ""), 36u);
  EXPECT_EQ(sum(2000, Scope::kTenant, ""), 18u);
  EXPECT_EQ(sum(2001, Scope::kTenant, ""), 0u);
  EXPECT_EQ(sum(0, Scope::kModel, "llama"), 18u);
  EXPECT_EQ(sum(0, Scope::kUserModel, "qwen"), 18u);
  EXPECT_EQ(sum(2000, Scope::kUserModel, "llama"), 0u);
}

TEST_F(SqliteStoreTest, UseIsAskedForOneScopeAndPeriod) {
  auto today = record_of(1, kNow, "acme", "qwen"), yesterday = record_of(2, kNow, "acme", "llama");
  today.day_us = 2000;
  yesterday.day_us = 1000;
  ASSERT_TRUE(store->add(std::vector{today, yesterday}).ok());
  const auto tokens = [&](const ledger::UsageQuery& query) {
    std::vector<std::uint64_t> tokens;
    const auto sums = *store->sums(query);
    for (const ledger::UsageSum& sum : sums) tokens.push_back(sum.tokens);
    return tokens;
  };
  using Tokens = std::vector<std::uint64_t>;
  EXPECT_EQ(tokens({.scope = Scope::kKey, .id = today.key_id}), (Tokens{36}));
  EXPECT_EQ(tokens({.when = {.begin_us = 1000, .end_us = 2000}, .scope = Scope::kKey, .id = today.key_id}),
            (Tokens{18}));
  EXPECT_EQ(tokens({.scope = Scope::kKey, .id = today.key_id + 1}), Tokens{});
  EXPECT_EQ(tokens({.scope = Scope::kModel, .model = "qwen"}), (Tokens{18}));
  EXPECT_EQ(tokens({.scope = Scope::kUserModel, .model = "llama"}), (Tokens{18})) << "of every user";
  EXPECT_EQ(tokens({.scope = Scope::kUserModel, .id = today.user_id + 1, .model = "llama"}), Tokens{});
  const auto sums = *store->sums({});
  for (const ledger::UsageSum& sum : sums) {
    const ledger::UsageQuery query{.scope = sum.scope, .id = sum.id, .model = sum.model};
    std::uint64_t shares = 0;
    for (const auto& record : {today, yesterday})
      if (const auto share = share_of(query, record)) shares += share->tokens;
    EXPECT_EQ(shares, sum.tokens) << "what one record adds is what the store sums";
  }
}

TEST_F(SqliteStoreTest, AuditIsPagedInOrderOfTimeAndFiltered) {
  std::vector<journal::AuditRecord> batch;
  for (std::uint64_t i = 1; i <= 20; ++i)
    batch.push_back(record_of(i, kNow + minutes((i * 7) % 20 / 2), i % 2 ? "acme" : "other", i % 5 ? "qwen" : "llama"));
  ASSERT_TRUE(store->add(batch).ok());
  AuditPlace place;
  std::vector<std::uint64_t> seen;
  WallTime last = WallTime::min();
  for (;;) {
    const auto page = *store->audit({}, place, 3);
    for (const auto& r : page.records) {
      EXPECT_GE(r.began, last);
      last = r.began;
      seen.push_back(r.number);
    }
    if (page.records.size() < 3) break;
    place = page.end;
  }
  std::ranges::sort(seen);
  EXPECT_EQ(seen.size(), 20u);
  EXPECT_EQ(std::ranges::unique(seen).size(), 0u);
  const auto count = [&](AuditFilter filter) { return store->audit(filter, {}, 100)->records.size(); };
  EXPECT_EQ(count({.from = {}, .to = {}, .tenant = "acme", .user = {}, .model = {}}), 10u);
  EXPECT_EQ(count({.from = {}, .to = {}, .tenant = {}, .user = "bob", .model = {}}), 0u);
  EXPECT_EQ(count({.from = {}, .to = {}, .tenant = {}, .user = {}, .model = "llama"}), 4u);
  EXPECT_EQ(count({.from = {}, .to = {}, .tenant = {}, .user = {}, .model = "served-llama"}), 4u);
  EXPECT_EQ(count({.from = kNow, .to = {}, .tenant = {}, .user = {}, .model = {}}), 20u) << "from is included";
  EXPECT_EQ(count({.from = kNow + minutes(5), .to = kNow + minutes(6), .tenant = {}, .user = {}, .model = {}}), 2u)
      << "to is not";
  EXPECT_EQ(*store->prune_audit(kNow + minutes(5), 4), 4u);
  EXPECT_EQ(*store->prune_audit(kNow + minutes(5), 100), 6u);
}

TEST_F(SqliteStoreTest, ARecordThatLostItsNamesGetsThoseOfItsIds) {
  const auto tenant = add_tenant("acme"), user = add_user(tenant, "ada");
  std::vector<journal::AuditRecord> records(3);
  for (std::size_t i = 0; i < records.size(); ++i) {
    records[i].boot_id = 1;
    records[i].number = i + 1;
    records[i].tenant_id = tenant;
    records[i].user_id = user;
  }
  records[1].tenant = "as it was called then";
  records[2].tenant_id = records[2].user_id = 99;  // nobody the store knows
  ASSERT_TRUE(store->add(records).ok());
  const auto page = *store->audit({}, {}, 10);
  EXPECT_EQ(page.records[0].tenant, "acme");
  EXPECT_EQ(page.records[0].user, "ada");
  EXPECT_EQ(page.records[1].tenant, "as it was called then");
  EXPECT_EQ(page.records[1].user, "ada");
  EXPECT_TRUE(page.records[2].tenant.empty() && page.records[2].user.empty());
}

TEST_F(SqliteStoreTest, SealsAreKept) {
  const journal::Seal seal{.sequence = 7, .records = 10, .tokens = 100, .cost_micros = 1, .mac = hash_of(1)};
  ASSERT_TRUE(store->add_seal(seal).ok());
  ASSERT_TRUE(store->add_seal(seal).ok());
  EXPECT_EQ(*store->seals(), std::vector{seal});
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

TEST_F(SqliteStoreTest, AFaultInTheMiddleLeavesNothingHalfDone) {
  const auto user = add_user(add_tenant("acme"), "ada");
  auto other = *Database::open(path, std::chrono::seconds(1));
  ASSERT_TRUE(other.exec("DROP TABLE budgets").ok());  // the key's row goes in, its budget cannot
  EXPECT_FALSE(add_key(user, 1, {"m"}, {{.amount = 1}}).ok());
  EXPECT_TRUE(store->list_keys({}, 0, 10)->empty());
  EXPECT_TRUE(add_key(user, 1).ok()) << "and the next change works";
  ASSERT_TRUE(other.exec("BEGIN IMMEDIATE; DROP TABLE audit; COMMIT").ok());
  EXPECT_FALSE(store->add(std::vector{record_of(1, kNow, "acme", "qwen")}).ok());
}

TEST_F(SqliteStoreTest, AReaderThatIsToEndGivesNoMorePages) {
  std::vector<journal::AuditRecord> batch;
  for (std::uint64_t i = 1; i <= 500; ++i) batch.push_back(record_of(i, kNow, "acme", "qwen"));
  ASSERT_TRUE(store->add(batch).ok());
  const auto reader = make_sqlite_reader(path);
  ASSERT_TRUE(reader->connect().ok());
  EXPECT_EQ(reader->audit({}, {}, 1'000)->records.size(), 500u);
  reader->end_reads();
  EXPECT_TRUE(absl::IsCancelled(reader->audit({}, {}, 1'000).status()));
}

}  // namespace
}  // namespace sluice::store
