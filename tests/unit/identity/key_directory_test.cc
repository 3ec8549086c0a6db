#include "identity/key_directory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "identity/secret_key.h"

namespace sluice::identity {
namespace {

using std::chrono::microseconds;
const WallTime kNow{microseconds{1'800'000'000'000'000}};

struct KeyDirectoryTest : testing::Test {
  // A new key of the one user; its text.
  std::string add(std::uint64_t id, std::optional<WallTime> expires = {}, std::vector<std::string> models = {}) {
    const NewSecret secret = create_secret(kApiKeyPrefix);
    EXPECT_EQ(directory.add_key({.id = id,
                                 .user = &user,
                                 .hash = secret.hash,
                                 .expires = expires,
                                 .models = std::move(models),
                                 .allowance = {}}),
              Added::kYes);
    return std::string(std::string_view(secret.text));
  }
  const Key* find(std::string_view key, WallTime now = kNow) {
    const auto found = directory.find(key, now);
    return found ? *found : nullptr;
  }
  Error error_of(std::string_view key) {
    const auto found = directory.find(key, kNow);
    return found ? Error{} : found.error();
  }

  KeyDirectory directory;
  Tenant& tenant = directory.add_tenant(1, "acme", {});
  User& user = directory.add_user(7, tenant, "ada", {});
};

TEST_F(KeyDirectoryTest, IsUnavailableUntilLoadedAndNeverSaysInvalid) {
  const std::string key = add(1);
  EXPECT_EQ(error_of(key).kind, ErrorKind::kUnavailable);
  EXPECT_EQ(error_of("nonsense").kind, ErrorKind::kUnavailable);
  directory.loaded();
  ASSERT_NE(find(key), nullptr);
  EXPECT_EQ(find(key)->user->tenant->name, "acme");
}

TEST_F(KeyDirectoryTest, RefusesWithOneCodeAndTellsOnlyOfCopyMistakes) {
  directory.loaded();
  const std::string key = add(1), revoked = add(2), expired = add(3, kNow);
  directory.revoke(*directory.key(2));
  std::string mistyped = key;
  mistyped[15] = mistyped[15] == 'a' ? 'b' : 'a';
  const std::string unknown(std::string_view(create_secret(kApiKeyPrefix).text));
  for (const auto& bad : {revoked, expired, mistyped, unknown, std::string("sk-other"), std::string()})
    EXPECT_EQ(error_of(bad).kind, ErrorKind::kInvalidKey);
  EXPECT_STREQ(error_of(revoked).what, error_of(unknown).what);
  EXPECT_STREQ(error_of(expired).what, error_of(unknown).what);
  EXPECT_NE(std::string(error_of(mistyped).what).find("copy mistake"), std::string::npos);
}

TEST_F(KeyDirectoryTest, AKeyExpiresAtItsMoment) {
  directory.loaded();
  const std::string key = add(1, kNow);
  EXPECT_NE(find(key, kNow - microseconds{1}), nullptr);
  EXPECT_EQ(find(key, kNow), nullptr);
}

TEST_F(KeyDirectoryTest, RevokingUserOrTenantEndsItsKeys) {
  directory.loaded();
  User& other = directory.add_user(8, tenant, "bob", {});
  const std::string ada = add(1);
  const NewSecret secret = create_secret(kApiKeyPrefix);
  ASSERT_EQ(
      directory.add_key({.id = 2, .user = &other, .hash = secret.hash, .expires = {}, .models = {}, .allowance = {}}),
      Added::kYes);
  directory.revoke(user);
  EXPECT_EQ(find(ada), nullptr);
  EXPECT_NE(find(secret.text), nullptr);
  directory.revoke(tenant);
  EXPECT_EQ(find(secret.text), nullptr);
}

TEST_F(KeyDirectoryTest, ARevocationIsAnnouncedAfterItTookEffect) {
  struct Listener final : RevocationListener {
    void revoked(const Tenant*, const User*, const Key* key) noexcept override {
      ++calls;
      was_live = key->live(kNow);
    }
    int calls = 0;
    bool was_live = true;
  } listener;
  directory.loaded();
  directory.listen(&listener);
  add(1);
  directory.revoke(*directory.key(1));
  EXPECT_EQ(listener.calls, 1);
  EXPECT_FALSE(listener.was_live);
}

TEST_F(KeyDirectoryTest, ASuspendedKeyIsRefusedInItsOwnWordsUntilItIsResumed) {
  directory.loaded();
  const std::string key = add(1), revoked = add(2);
  directory.suspend(*directory.key(1));
  EXPECT_EQ(error_of(key).kind, ErrorKind::kInvalidKey);
  EXPECT_NE(std::string(error_of(key).what).find("suspended"), std::string::npos);
  directory.resume(*directory.key(1));
  EXPECT_NE(find(key), nullptr);
  directory.suspend(*directory.key(2));
  directory.revoke(*directory.key(2));
  EXPECT_EQ(std::string(error_of(revoked).what).find("suspended"), std::string::npos) << "it never comes back";
}

TEST_F(KeyDirectoryTest, OutgrownTablesAreFreedOnceARevocationHasBeenSeenByAll) {
  struct Listener final : RevocationListener {
    void revoked(const Tenant*, const User*, const Key*) noexcept override {}
  } listener;
  directory.loaded();
  directory.listen(&listener);
  std::uint64_t id = 0;
  while (++id <= 40) add(id);
  const std::size_t before = directory.table_bytes();
  directory.revoke(*directory.key(1));
  EXPECT_LT(directory.table_bytes(), before);
  const std::string late = add(id);
  EXPECT_EQ(find(late), directory.key(id));
}

TEST_F(KeyDirectoryTest, AKeyIsScopedToItsModels) {
  directory.loaded();
  EXPECT_TRUE(find(add(1))->may_use("anything"));
  const Key* key = find(add(2, {}, {"llama", "qwen"}));
  EXPECT_TRUE(key->may_use("qwen"));
  EXPECT_FALSE(key->may_use("qwe"));
}

TEST_F(KeyDirectoryTest, DuplicatesAreRefused) {
  const NewSecret secret = create_secret(kApiKeyPrefix);
  const auto add_as = [&](std::uint64_t id) {
    return directory.add_key(
        {.id = id, .user = &user, .hash = secret.hash, .expires = {}, .models = {}, .allowance = {}});
  };
  EXPECT_EQ(add_as(5), Added::kYes);
  EXPECT_EQ(add_as(5), Added::kDuplicate);
  EXPECT_EQ(add_as(6), Added::kDuplicate);
  EXPECT_EQ(directory.keys(), 1u);
}

TEST_F(KeyDirectoryTest, IndexesAreDenseAndIdsMayComeInAnyOrder) {
  for (const std::uint64_t id : {30u, 10u, 20u}) add(id);
  EXPECT_EQ(directory.key(30)->index, 0u);
  EXPECT_EQ(directory.key(10)->index, 1u);
  EXPECT_EQ(directory.key(20)->index, 2u);
  EXPECT_EQ(directory.key(15), nullptr);
}

TEST_F(KeyDirectoryTest, AnAllowanceIsReplacedWhileTheOldOneStaysReadable) {
  add(1);
  Key& key = *directory.key(1);
  EXPECT_FALSE(key.limits().requests_per_minute.has_value());
  const Allowance& before = key.allowance();
  directory.set_allowance(key, {.limits = {.requests_per_minute = 60, .tokens_per_minute = {}, .concurrency = {}},
                                .budgets = {{.amount = 1000}},
                                .model_budgets = {}});
  EXPECT_EQ(key.limits().requests_per_minute, 60u);
  EXPECT_EQ(key.budgets().at(0).amount, 1000u);
  EXPECT_NE(&before, &key.allowance());
  EXPECT_EQ(before, Allowance{});
}

// Workers look keys up while the control thread adds, revokes, and changes budgets; run under TSan too.
TEST_F(KeyDirectoryTest, LookUpsRunBesideEveryChange) {
  directory.loaded();
  std::vector<std::string> known;
  for (std::uint64_t id = 1; id <= 50; ++id) known.push_back(add(id));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> looked{0}, lost{0};
  std::vector<std::thread> workers;
  for (int w = 0; w < 3; ++w) {
    workers.emplace_back([&] {
      while (!stop.load()) {
        for (const std::string& text : known) {
          const auto key = directory.find(text, kNow);
          if (!key || (*key)->budgets().size() > 1) lost.fetch_add(1);
        }
        looked.fetch_add(1);
      }
    });
  }
  std::vector<std::string> late;
  for (std::uint64_t id = 51; id <= 4000 || looked.load() < 3; ++id) {
    late.push_back(add(id));
    directory.set_allowance(*directory.key(1 + id % 50),
                            {.limits = {}, .budgets = {{.amount = id}}, .model_budgets = {}});
    if (id % 3 == 0) directory.revoke(*directory.key(id));
  }
  stop = true;
  for (auto& worker : workers) worker.join();
  EXPECT_EQ(lost.load(), 0u);
  for (std::size_t i = 0; i < late.size(); ++i) EXPECT_EQ(find(late[i]) == nullptr, (51 + i) % 3 == 0);
}

TEST_F(KeyDirectoryTest, ARotatedKeyIsFoundByBothSecretsUntilTheGraceIsOver) {
  directory.loaded();
  const std::string old = add(1);
  std::vector<std::string> others;
  for (std::uint64_t id = 2; id < 40; ++id) others.push_back(add(id));  // the table grows on the way
  const NewSecret fresh = create_secret(kApiKeyPrefix);
  EXPECT_EQ(directory.rotate(*directory.key(1), fresh.hash, kNow + microseconds(10)), Added::kYes);
  EXPECT_EQ(directory.rotate(*directory.key(2), fresh.hash, kNow), Added::kDuplicate);
  for (std::uint64_t id = 40; id < 90; ++id) others.push_back(add(id));
  EXPECT_EQ(find(old), directory.key(1));
  EXPECT_EQ(find(fresh.text), directory.key(1));
  EXPECT_EQ(find(old, kNow + microseconds(9)), directory.key(1));
  EXPECT_EQ(find(old, kNow + microseconds(10)), nullptr);
  EXPECT_EQ(find(fresh.text, kNow + microseconds(10)), directory.key(1));
  for (const std::string& other : others) EXPECT_NE(find(other), nullptr);
  directory.revoke(*directory.key(1));
  EXPECT_EQ(find(old), nullptr);
  EXPECT_EQ(find(fresh.text), nullptr);
}

TEST_F(KeyDirectoryTest, ARotationEndsTheSecretThatWasReplacedBeforeAlsoOneThatWasLoaded) {
  directory.loaded();
  const NewSecret first = create_secret(kApiKeyPrefix), second = create_secret(kApiKeyPrefix),
                  third = create_secret(kApiKeyPrefix);
  const WallTime until = kNow + microseconds(100);
  directory.add_key({.id = 1,
                     .user = &user,
                     .hash = second.hash,
                     .expires = {},
                     .models = {},
                     .allowance = {},
                     .old_hash = first.hash,
                     .old_until = until});
  EXPECT_EQ(find(first.text), directory.key(1));
  EXPECT_EQ(find(first.text, until), nullptr);
  EXPECT_EQ(directory.rotate(*directory.key(1), third.hash, until), Added::kYes);
  EXPECT_EQ(find(first.text), nullptr);
  EXPECT_EQ(find(second.text), directory.key(1));
  EXPECT_EQ(find(third.text, until), directory.key(1));
}

TEST_F(KeyDirectoryTest, ExpiryAndModelsChangeAndWhoReadTheListBeforeKeepsIt) {
  directory.loaded();
  const std::string text = add(1, kNow, {"a"});
  Key& key = *directory.key(1);
  EXPECT_EQ(find(text), nullptr);
  directory.set_expires(key, kNow + microseconds(1));
  EXPECT_EQ(find(text), &key);
  directory.set_expires(key, std::nullopt);
  EXPECT_EQ(find(text, kNow + std::chrono::hours(1'000'000)), &key);
  const std::vector<std::string>& before = key.models();
  directory.set_models(key, {"b", "c"});
  EXPECT_FALSE(key.may_use("a"));
  EXPECT_TRUE(key.may_use("c"));
  directory.set_models(key, {});
  EXPECT_TRUE(key.may_use("a"));
  EXPECT_EQ(before, std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace sluice::identity
