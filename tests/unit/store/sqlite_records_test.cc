// What a SQLite store keeps of calls: records, use by scope and day, seals.
#include <tuple>

#include "support/full_record.h"
#include "unit/store/sqlite_fixture.h"

namespace sluice::store {
namespace {

journal::AuditRecord record_of(std::uint64_t number, WallTime began, std::string_view tenant, std::string_view model) {
  journal::AuditRecord r = test::full_record(0xfedcba9876543210, number);
  r.began = began;
  r.tenant_id = 1, r.user_id = 2, r.key_id = 3;
  r.tenant = tenant;
  r.model = model;
  r.model_served = "served-" + std::string(model);
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
  EXPECT_TRUE(r.stream);
  test::expect_same_figures(r, record_of(1, kNow, "acme", "qwen"));
  EXPECT_EQ(r.client_ip, "10.1.2.0/24");
  EXPECT_EQ(r.client_request_id, "mine-1");
}

// Most records have none of these, and are stored another way.
TEST_F(SqliteStoreTest, ARecordThatSaysOneRareThingComesBackWithItAmongOthersThatSayNone) {
  using Set = void (*)(journal::AuditRecord&);
  constexpr Set kSets[] = {
      [](journal::AuditRecord& r) { r.usage.cache_write_tokens = 4, r.usage.cache_write_1h_tokens = 3; },
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
    return std::tuple(u.cache_write_tokens, u.cache_write_1h_tokens, u.audio_input_tokens, u.audio_output_tokens,
                      u.images, u.seconds, u.characters, u.searches, r.upstream_cost_micros, r.price_tier, r.attempts,
                      r.refused_by.kind, r.refused_by.scope, r.refused_by.unit, r.refused_by.period);
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
