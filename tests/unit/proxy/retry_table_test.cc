// Which failures send a call elsewhere: the table of retry_table.h, row by row.
#include "proxy/retry_table.h"

#include <gtest/gtest.h>

#include <vector>

#include "config/retry_unsafe.h"

namespace sluice::proxy {
namespace {

using RetryWay = RetryTable::Way;

constexpr Error kNotSent = upstream_error(ErrorKind::kConnect, "", Retry::kYes);
constexpr Error kLostIt = upstream_error(ErrorKind::kClosed, "");
constexpr Error kBrokeIt = upstream_error(ErrorKind::kProtocol, "");
constexpr Error kLate = upstream_error(ErrorKind::kTimeout, "");

TEST(RetryTable, ByDefaultOnlyWhatCannotHaveGeneratedIsSentAgain) {
  const RetryTable table;
  for (const unsigned status : {429u, 503u, 529u}) EXPECT_EQ(table.of_status(status), RetryWay::kSafe) << status;
  for (const unsigned status : {400u, 401u, 404u, 408u, 500u, 501u, 502u, 504u, 200u})
    EXPECT_EQ(table.of_status(status), RetryWay::kNot) << status;
  EXPECT_EQ(table.of_error(kNotSent), RetryWay::kSafe);
  for (const Error& error : {kLostIt, kBrokeIt, kLate}) EXPECT_EQ(table.of_error(error), RetryWay::kNot);
}

TEST(RetryTable, EachNameOfTheConfOpensItsRowAndNoOther) {
  for (const std::string_view name : config::kRetryUnsafe) {
    const std::vector<std::string> one{std::string(name)};
    const RetryTable table(one);
    for (const unsigned status : {408u, 500u, 502u, 504u})
      EXPECT_EQ(table.of_status(status), std::to_string(status) == name ? RetryWay::kUnsafe : RetryWay::kNot)
          << name << status;
    EXPECT_EQ(table.of_error(kLate), name == "late_head" ? RetryWay::kUnsafe : RetryWay::kNot) << name;
    for (const Error& error : {kLostIt, kBrokeIt})
      EXPECT_EQ(table.of_error(error), name == "lost" ? RetryWay::kUnsafe : RetryWay::kNot) << name;
    EXPECT_EQ(table.of_status(503), RetryWay::kSafe);
  }
}

TEST(RetryTable, WhatAClientOrTheGatewayDidIsNeverSentAgain) {
  const std::vector<std::string> all(config::kRetryUnsafe.begin(), config::kRetryUnsafe.end());
  const RetryTable table(all);
  EXPECT_EQ(table.of_error(client_error(ErrorKind::kClosed, "")), RetryWay::kNot);
  EXPECT_EQ(table.of_error(self_error(ErrorKind::kUnavailable, "")), RetryWay::kNot);
}

}  // namespace
}  // namespace sluice::proxy
