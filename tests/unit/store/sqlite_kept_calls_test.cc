// Calls that their places go on with by themselves: what outlives the process until each is charged.
#include "base/usage.h"
#include "unit/store/sqlite_fixture.h"

namespace sluice::store {
namespace {

struct SqliteKeptCalls : SqliteStoreTest {
  static constexpr std::uint64_t kBoot = 0xfedcba9876543210;

  KeptCall call(std::uint64_t number) {
    return {.id = "resp_" + std::to_string(number),
            .place = "a",
            .model = "m",
            .endpoint = "responses",
            .tenant_id = 1,
            .user_id = 2,
            .key_id = 3,
            .boot_id = kBoot,
            .number = number,
            .settle_number = number + 1'000,
            .began = kNow,
            .until = kNow + hours(1),
            .day_us = 5,
            .stream = true,
            .prompt_estimate = 6,
            .reserved_output = 7,
            .most_prompt = 8,
            .most_output = 9,
            .price = {.prompt = 10, .cached = 11, .completion = 12, .reasoning = 13, .searches = 14},
            .request_id = "req_1",
            .client_request_id = "mine",
            .client_ip = "203.0.113.0",
            .labels = R"({"team":"a"})"};
  }
  void record(std::uint64_t number, EndReason reason) {
    journal::AuditRecord record;
    record.boot_id = kBoot;
    record.number = number;
    record.began = kNow;
    record.end_reason = reason;
    const absl::Status added = store->add(std::array{record});
    ASSERT_TRUE(added.ok()) << added;
  }
  std::vector<KeptCall> kept() {
    auto calls = store->kept_calls();
    EXPECT_TRUE(calls.ok()) << calls.status();
    return calls.ok() ? *std::move(calls) : std::vector<KeptCall>();
  }
};

TEST_F(SqliteKeptCalls, AreKeptWithAllThatChargesThem) {
  const KeptCall wanted = call(1);
  const ResponseChange response{.kind = ResponseChange::Kind::kAdd,
                                .response = {.id = wanted.id,
                                             .tenant_id = 1,
                                             .user_id = 2,
                                             .key_id = 3,
                                             .place = "a",
                                             .model = "m",
                                             .created = kNow,
                                             .expires = kNow + hours(1)},
                                .items = {}};
  ASSERT_TRUE(store->keep_calls(std::array{wanted, call(2)}, std::array{response}).ok());
  EXPECT_TRUE(store->find_response(2, wanted.id, kNow).ok()) << "its user finds it from then on";
  ASSERT_EQ(kept().size(), 2u);
  const KeptCall found = kept()[0];
  EXPECT_EQ(found.kind, KeptCall::Kind::kResponse);
  EXPECT_EQ(found.id, wanted.id);
  EXPECT_EQ(found.place, "a");
  EXPECT_EQ(found.endpoint, "responses");
  EXPECT_EQ(found.key_id, 3u);
  EXPECT_EQ(found.boot_id, kBoot);
  EXPECT_EQ(found.settle_number, 1'001u);
  EXPECT_EQ(found.began, kNow);
  EXPECT_EQ(found.until, kNow + hours(1));
  EXPECT_EQ(found.day_us, 5);
  EXPECT_TRUE(found.stream);
  EXPECT_EQ(found.prompt_estimate, 6u);
  EXPECT_EQ(found.reserved_output, 7u);
  EXPECT_EQ(found.most_prompt, 8u);
  EXPECT_EQ(found.most_output, 9u);
  EXPECT_EQ(found.price, wanted.price);
  EXPECT_EQ(found.client_request_id, "mine");
  EXPECT_EQ(found.client_ip, "203.0.113.0");
  EXPECT_EQ(found.labels, wanted.labels);
  EXPECT_FALSE(found.charged);
  ASSERT_TRUE(store->drop_kept_calls(std::array{wanted}).ok());
  EXPECT_EQ(kept().at(0).number, 2u);
}

TEST_F(SqliteKeptCalls, OfWhichTheRecordsHaveTheChargeAreForgotten) {
  ASSERT_TRUE(store->keep_calls(std::array{call(1), call(2), call(3)}, {}).ok());
  record(1, EndReason::kBackground);
  record(1'001, EndReason::kCompleted);
  record(2, EndReason::kBackground);
  record(3, EndReason::kCrashed);
  const std::vector<KeptCall> calls = kept();
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].number, 2u);
  EXPECT_FALSE(calls[0].charged);
  EXPECT_EQ(calls[1].number, 3u);
  EXPECT_TRUE(calls[1].charged) << "as one that was cut off";
}

}  // namespace
}  // namespace sluice::store
