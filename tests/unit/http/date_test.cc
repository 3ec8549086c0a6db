#include "http/date.h"

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

constexpr std::time_t kExample = 784'111'777;  // RFC 9110, 5.6.7
constexpr std::time_t kNow = 1'795'000'000;    // in 2026

TEST(HttpDate, C48AllThreeFormsAreRead) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", kNow), kExample);
  EXPECT_EQ(parse_http_date("Sun Nov  6 08:49:37 1994", kNow), kExample);
  EXPECT_EQ(parse_http_date("Sun Nov 16 08:49:37 1994", kNow), kExample + 10 * 86'400);
}

TEST(HttpDate, ItsOwnDateIsOne) {
  const std::time_t now = std::time(nullptr);
  const std::optional<std::time_t> read = parse_http_date(http_date(), now);
  ASSERT_TRUE(read);
  EXPECT_LE(now - *read, 1);
}

TEST(HttpDate, TwoDigitsOfAYearAreTheOneWithin50Years) {
  EXPECT_EQ(*parse_http_date("Friday, 27-Nov-26 00:00:00 GMT", kNow), 1'795'737'600);
  EXPECT_LT(*parse_http_date("Monday, 06-Nov-95 08:49:37 GMT", kNow), kNow);
}

TEST(HttpDate, NothingElseIs) {
  for (const char* text :
       {"", "40", "Sun", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT",
        "Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ", "2026-11-27T21:28:01Z"}) {
    EXPECT_FALSE(parse_http_date(text, kNow)) << text;
  }
}

}  // namespace
}  // namespace sluice::http
