// Responses that model servers keep: whose they are.
#include <array>

#include "unit/store/sqlite_fixture.h"

namespace sluice::store {
namespace {

using Kind = ResponseChange::Kind;

struct SqliteResponses : SqliteStoreTest {
  ResponseRecord response(std::uint64_t user, std::string id, std::string place = "a", minutes age = minutes(0)) {
    return {.id = std::move(id),
            .tenant_id = 1,
            .user_id = user,
            .key_id = 3,
            .place = std::move(place),
            .model = "m",
            .created = kNow - age,
            .expires = kNow - age + hours(1)};
  }
  void change(std::vector<ResponseChange> changes) {
    const absl::Status done = store->change_responses(changes);
    ASSERT_TRUE(done.ok()) << done;
  }
  void add(const ResponseRecord& record) { change({{.kind = Kind::kAdd, .response = record, .items = {}}}); }
  void add_items(std::uint64_t user, const std::string& id, std::vector<std::string> items) {
    change({{.kind = Kind::kAddItems, .response = response(user, id), .items = std::move(items)}});
  }
  // The place that keeps it; "": it is nobody's.
  std::string keeper(std::uint64_t user, const std::string& id) {
    const auto found = store->find_response(user, id, kNow);
    EXPECT_TRUE(found.ok() || absl::IsNotFound(found.status())) << found.status();
    return found.ok() ? found->place : "";
  }
  std::string item_of(std::uint64_t user, const std::string& id) {
    const auto found = store->find_responses_of_items(user, std::array{std::string_view(id)}, kNow);
    EXPECT_TRUE(found.ok() || absl::IsNotFound(found.status())) << found.status();
    return found.ok() ? found->at(0).id : "";
  }
};

TEST_F(SqliteResponses, C50AreFoundByTheUserWhoMadeThemAlone) {
  add(response(1, "resp_1"));
  add_items(1, "resp_1", {"msg_1", "rs_1"});
  const auto found = store->find_response(1, "resp_1", kNow);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->model, "m");
  EXPECT_EQ(found->tenant_id, 1u);
  EXPECT_EQ(found->key_id, 3u);
  EXPECT_EQ(found->expires, kNow + hours(1));
  EXPECT_EQ(item_of(1, "rs_1"), "resp_1");
  EXPECT_EQ(store->find_responses_of_items(1, std::array<std::string_view, 2>{"msg_1", "rs_1"}, kNow)->size(), 2u);
  EXPECT_TRUE(absl::IsNotFound(
      store->find_responses_of_items(1, std::array<std::string_view, 2>{"msg_1", "rs_2"}, kNow).status()));
  EXPECT_EQ(keeper(2, "resp_1"), "");
  EXPECT_EQ(item_of(2, "rs_1"), "");
  EXPECT_EQ(keeper(1, "msg_1"), "") << "an item is no response";
  EXPECT_EQ(item_of(1, "resp_1"), "") << "and a response no item";
}

TEST_F(SqliteResponses, AnIdThatAPlaceGivesTwiceBelongsToWhomItWasGivenLast) {
  add(response(1, "resp_1"));
  add_items(1, "resp_1", {"msg_1"});
  add(response(2, "resp_1", "b"));
  EXPECT_EQ(keeper(1, "resp_1"), "a") << "another place's ids are others";
  EXPECT_EQ(keeper(2, "resp_1"), "b");
  add(response(3, "resp_1"));
  EXPECT_EQ(keeper(1, "resp_1"), "");
  EXPECT_EQ(item_of(1, "msg_1"), "");
  EXPECT_EQ(keeper(2, "resp_1"), "b");
  EXPECT_EQ(keeper(3, "resp_1"), "a");
  add(response(4, "resp_2"));
  add_items(3, "resp_1", {"msg_2"});
  add_items(4, "resp_2", {"msg_2"});
  EXPECT_EQ(item_of(3, "msg_2"), "");
  EXPECT_EQ(item_of(4, "msg_2"), "resp_2");
}

TEST_F(SqliteResponses, WhatIsForgottenTakesItsItemsAlong) {
  add(response(1, "resp_1"));
  add_items(1, "resp_1", {"msg_1"});
  change({{.kind = Kind::kForget, .response = response(2, "resp_1"), .items = {}}});
  EXPECT_EQ(keeper(1, "resp_1"), "a") << "another user's";
  change({{.kind = Kind::kForget, .response = response(1, "resp_1"), .items = {}}});
  EXPECT_EQ(keeper(1, "resp_1"), "");
  EXPECT_EQ(item_of(1, "msg_1"), "");
  add_items(1, "resp_1", {"msg_1"});
  EXPECT_EQ(item_of(1, "msg_1"), "") << "items of nothing are nobody's";
}

TEST_F(SqliteResponses, AUsersOldestGoFirstAndWhatHasExpiredIsGone) {
  for (int i = 0; i < 5; ++i) add(response(1, "resp_" + std::to_string(i), "a", minutes(10 * i)));
  add(response(2, "resp_9"));
  ASSERT_TRUE(store->trim_responses(1, 5, kNow).ok());
  EXPECT_EQ(keeper(1, "resp_4"), "a");
  ASSERT_TRUE(store->trim_responses(1, 2, kNow).ok());
  EXPECT_EQ(keeper(1, "resp_2"), "");
  EXPECT_EQ(keeper(1, "resp_1"), "a");
  EXPECT_EQ(keeper(2, "resp_9"), "a");
  EXPECT_TRUE(absl::IsNotFound(store->find_response(1, "resp_1", kNow + minutes(50)).status()));
  EXPECT_EQ(*store->prune_responses(kNow + minutes(50), 10), 1u);
  EXPECT_EQ(*store->prune_responses(kNow + hours(2), 1), 1u);
  EXPECT_EQ(*store->prune_responses(kNow + hours(2), 10), 1u);
}

TEST_F(SqliteResponses, OfARevokedUserAreNobodysAndWaitToBeErased) {
  const std::uint64_t tenant = add_tenant("acme");
  const std::uint64_t ada = add_user(tenant, "ada"), bob = add_user(tenant, "bob");
  for (const std::uint64_t user : {ada, bob}) {
    add(response(user, "resp_" + std::to_string(user)));
    add(response(user, "more_" + std::to_string(user)));
  }
  EXPECT_EQ(*store->mark_responses_of_revoked(kNow), 0u);
  ASSERT_TRUE(store->revoke(Scope::kUser, ada, kNow).ok());
  EXPECT_EQ(*store->mark_responses_of_revoked(kNow), 2u);
  EXPECT_EQ(keeper(ada, "resp_" + std::to_string(ada)), "");
  EXPECT_EQ(keeper(bob, "resp_" + std::to_string(bob)), "a");
  auto waiting = store->responses_to_erase(10);
  ASSERT_TRUE(waiting.ok());
  ASSERT_EQ(waiting->size(), 2u);
  change({{.kind = Kind::kEraseLater, .response = waiting->front(), .items = {}}});
  change({{.kind = Kind::kEraseLater, .response = response(bob, "resp_" + std::to_string(bob)), .items = {}}});
  EXPECT_EQ(store->responses_to_erase(1)->front().id, waiting->back().id);
  change({{.kind = Kind::kForget, .response = waiting->front(), .items = {}}});
  EXPECT_EQ(store->responses_to_erase(10)->size(), 1u);
  ASSERT_TRUE(store->revoke(Scope::kTenant, tenant, kNow).ok());
  EXPECT_EQ(*store->mark_responses_of_revoked(kNow), 2u);
}

TEST_F(SqliteResponses, C50FilesAreListedByTheUserWhoGaveThemAloneTheNewestFirst) {
  const auto file = [&](std::uint64_t user, std::string id, minutes age) {
    ResponseRecord record = response(user, std::move(id), "a", age);
    record.expires = kNow + hours(1);
    record.kept = Kept::kFile;
    record.file = {.purpose = "batch", .bytes = 7, .endpoint = "embeddings", .prompt_tokens = 8, .output_tokens = 9};
    return record;
  };
  add(file(1, "file-1", minutes(3)));
  add(file(1, "file-2", minutes(2)));
  add(file(1, "file-3", minutes(2)));
  add(file(2, "file-4", minutes(1)));
  add(response(1, "resp_1"));
  const auto ids = [&](std::string_view after, std::size_t limit) {
    std::string all;
    const auto found = store->list_kept(1, Kept::kFile, after, limit, kNow);
    if (!found.ok()) return std::string(found.status().message());
    for (const ResponseRecord& each : *found) all.append(each.id).append(" ");
    return all;
  };
  EXPECT_EQ(ids("", 9), "file-3 file-2 file-1 ");
  EXPECT_EQ(ids("", 2), "file-3 file-2 ");
  EXPECT_EQ(ids("file-3", 9), "file-2 file-1 ");
  EXPECT_EQ(ids("file-4", 9), "no such id") << "another user's";
  EXPECT_EQ(ids("resp_1", 9), "no such id");
  const auto found = store->find_response(1, "file-1", kNow);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->kept, Kept::kFile);
  EXPECT_EQ(found->file.bytes, 7u);
  EXPECT_EQ(found->file.endpoint, "embeddings");
  EXPECT_EQ(found->file.output_tokens, 9u);
  change({{.kind = Kind::kAddMade, .response = response(1, "file-1", "elsewhere"), .items = {}}});
  EXPECT_EQ(keeper(1, "file-1"), "a") << "it is known";
}

TEST_F(SqliteResponses, OldestFilesBeyondTheBoundAreToBeErasedAndResponsesForgotten) {
  for (int i = 0; i < 4; ++i) {
    add(response(1, "resp_" + std::to_string(i), "a", minutes(10 - i)));
    ResponseRecord file = response(1, "file-" + std::to_string(i), "a", minutes(10 - i));
    file.kept = Kept::kFile;
    add(file);
  }
  ASSERT_TRUE(store->trim_responses(1, 3, kNow).ok());
  EXPECT_EQ(keeper(1, "resp_0") + keeper(1, "file-0"), "");
  EXPECT_EQ(keeper(1, "resp_1") + keeper(1, "file-1"), "aa");
  const auto to_erase = store->responses_to_erase(9);
  ASSERT_TRUE(to_erase.ok());
  ASSERT_EQ(to_erase->size(), 1u);
  EXPECT_EQ(to_erase->at(0).id, "file-0");
}

}  // namespace
}  // namespace sluice::store
