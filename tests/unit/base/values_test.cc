// Small values: texts of fixed size, ids, JSON that nobody vouches for, usage.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "base/fixed_text.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/usage.h"

namespace sluice {
namespace {

TEST(FixedText, CutsAtACharacterAndNotInside) {
  const FixedText<4> text("abc\xc3\xa4");  // the two bytes of one letter
  EXPECT_EQ(text.view(), "abc");
  EXPECT_EQ(FixedText<5>("abc\xc3\xa4").view(), "abc\xc3\xa4");
  EXPECT_TRUE(FixedText<1>("\xf0\x9f\x98\x80").empty());
}

TEST(FixedText, IsOverwrittenWhole) {
  FixedText<8> text("12345678");
  text = "9";
  EXPECT_EQ(text.view(), "9");
  text = "";
  EXPECT_TRUE(text.empty());
}

TEST(Ids, AreWrittenAsSixteenLowerCaseDigits) {
  std::array<char, 16> into;
  EXPECT_EQ(write_hex(0, into), "0000000000000000");
  EXPECT_EQ(write_hex(0xDEADBEEF01234567, into), "deadbeef01234567");
  const std::array<std::uint8_t, 3> bytes{0x00, 0xAB, 0xff};
  EXPECT_EQ(to_hex(bytes), "00abff");
}

TEST(Ids, Differ) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(random_id());
  EXPECT_EQ(seen.size(), 10'000u);
}

TEST(ParseObject, TakesAnObjectAndNothingElse) {
  EXPECT_TRUE(parse_object(R"({"a":1})", 100));
  for (const char* text : {"", "null", "[1]", "{", R"({"a":1}x)", "<html>"})
    EXPECT_FALSE(parse_object(text, 100)) << text;
}

TEST(ParseObject, IsBoundedInSizeAndDepth) {
  EXPECT_FALSE(parse_object(R"({"a":1})", 6));
  EXPECT_TRUE(parse_object(R"({"a":[[[[[[1]]]]]]})", 1000));
  EXPECT_FALSE(parse_object(R"({"a":[[[[[[[[1]]]]]]]]})", 1000));
}

TEST(JsonMembers, OfAnotherTypeAreAbsent) {
  const auto object = parse_object(R"({"text":"t","number":7,"negative":-7,"list":[1]})", 1000);
  ASSERT_TRUE(object);
  EXPECT_EQ(text_of(*object, "text"), "t");
  EXPECT_EQ(text_of(*object, "number", "otherwise"), "otherwise");
  EXPECT_EQ(text_of(*object, "absent", "otherwise"), "otherwise");
  EXPECT_EQ(number_of(*object, "number"), 7u);
  EXPECT_EQ(number_of(*object, "negative", 3), 3u);
  EXPECT_EQ(number_of(*object, "text", 3), 3u);
  EXPECT_NE(array_of(*object, "list"), nullptr);
  EXPECT_EQ(array_of(*object, "text"), nullptr);
}

TEST(Usage, NamesAreTheOnesThatRecordsShow) {
  EXPECT_STREQ(to_string(UsageSource::kMeasured), "measured");
  EXPECT_STREQ(to_string(EndReason::kClientGone), "client_gone");
  std::set<std::string> names;
  for (int reason = 0; reason <= static_cast<int>(EndReason::kCrashed); ++reason)
    names.insert(to_string(static_cast<EndReason>(reason)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(EndReason::kCrashed) + 1);
}

}  // namespace
}  // namespace sluice
