// Headers of answers: rate limits, retries, CORS, and where a key may stand in a request.
#include "proxy/reply.h"

#include <gtest/gtest.h>

#include "proxy/credential.h"

namespace sluice::proxy {
namespace {

std::string value_of(const ReplyHeaders& headers, std::string_view name) {
  for (const http::Header& header : headers.span()) {
    if (header.name == name) return std::string(header.value);
  }
  return "(absent)";
}

std::string duration(std::chrono::milliseconds value) {
  ReplyHeaders headers;
  headers.add_duration("d", value);
  return value_of(headers, "d");
}

TEST(Reply, DurationsAreWrittenAsOpenAiWritesThem) {
  using std::chrono::milliseconds;
  EXPECT_EQ(duration(milliseconds(174)), "174ms");
  EXPECT_EQ(duration(milliseconds(1'000)), "1s");
  EXPECT_EQ(duration(milliseconds(6'596)), "6.596s");
  EXPECT_EQ(duration(milliseconds(360'000)), "6m0s");
  EXPECT_EQ(duration(milliseconds(-5)), "0ms");
}

TEST(Reply, RetryAfterIsWholeSecondsAtMostSixtyAndAgreesWithMilliseconds) {
  dialect::ErrorAnswer answer;
  answer.should_retry = dialect::ErrorAnswer::ShouldRetry::kYes;
  ReplyHeaders headers;
  add_retry_headers(headers, answer, std::chrono::milliseconds(1'200));
  EXPECT_EQ(value_of(headers, "retry-after"), "2");
  EXPECT_EQ(value_of(headers, "retry-after-ms"), "1200");
  EXPECT_EQ(value_of(headers, "x-should-retry"), "true");
  headers.clear();
  add_retry_headers(headers, answer, std::chrono::hours(5));
  EXPECT_EQ(value_of(headers, "retry-after"), "60");
  EXPECT_EQ(value_of(headers, "retry-after-ms"), "60000");
}

TEST(Reply, WhatMustNotBeRetriedCarriesNoRetryAfter) {
  dialect::ErrorAnswer answer;
  answer.should_retry = dialect::ErrorAnswer::ShouldRetry::kNo;
  ReplyHeaders headers;
  add_retry_headers(headers, answer, std::chrono::milliseconds(1'200));
  EXPECT_EQ(value_of(headers, "x-should-retry"), "false");
  EXPECT_EQ(value_of(headers, "retry-after"), "(absent)");
}

TEST(Reply, OnlyListedOriginsGetCorsHeaders) {
  const std::vector<std::string> allowed{"https://app.example"};
  ReplyHeaders headers;
  add_cors_headers(headers, "https://evil.example", allowed);
  EXPECT_TRUE(headers.span().empty());
  add_cors_headers(headers, "https://app.example", allowed);
  EXPECT_EQ(value_of(headers, "access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(value_of(headers, "vary"), "Origin");
}

Result<std::string_view> credential(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  static http::Fields kept;
  kept.clear();
  for (const auto& [name, value] : fields) kept.add({boost::beast::http::string_to_field(name), name, value});
  return find_credential(kept);
}

TEST(Credential, IsFoundInEachHeaderThatSdksUse) {
  EXPECT_EQ(*credential({{"Authorization", "Bearer abc"}}), "abc");
  EXPECT_EQ(*credential({{"authorization", "bearer abc "}}), "abc");
  EXPECT_EQ(*credential({{"api-key", "abc"}}), "abc");
  EXPECT_EQ(*credential({{"X-Api-Key", "abc"}}), "abc");
  EXPECT_EQ(*credential({{"api-key", "abc"}, {"Authorization", "Bearer abc"}}), "abc");
}

TEST(Credential, MissingConflictingAndOddOnesAreToldApart) {
  EXPECT_EQ(credential({}).error().kind, ErrorKind::kNoKey);
  EXPECT_EQ(credential({{"Authorization", "Bearer "}}).error().kind, ErrorKind::kNoKey);
  EXPECT_EQ(credential({{"api-key", "a"}, {"Authorization", "Bearer b"}}).error().kind, ErrorKind::kInvalidKey);
  EXPECT_EQ(credential({{"Authorization", "Basic abc"}}).error().kind, ErrorKind::kInvalidKey);
}

}  // namespace
}  // namespace sluice::proxy
