#include "base/text.h"

#include <gtest/gtest.h>

#include <array>

namespace sluice {
namespace {

TEST(Trimmed, TakesWhiteSpaceFromBothEndsAndLeavesTheInside) {
  EXPECT_EQ(trimmed(" \ta b\t "), "a b");
  EXPECT_EQ(trimmed("a"), "a");
  EXPECT_EQ(trimmed(" \t "), "");
  EXPECT_EQ(trimmed(""), "");
}

TEST(Trimmed, KnowsOnlyTheWhiteSpaceOfItsKind) {
  EXPECT_EQ(trimmed("\r\n1 "), "\r\n1");
  EXPECT_EQ(trimmed("\r\n1 ", kJsonWhite), "1");
}

TEST(SameIgnoringCase, FoldsLettersOfAsciiAlone) {
  EXPECT_TRUE(same_ignoring_case("Content-LENGTH", "content-length"));
  EXPECT_FALSE(same_ignoring_case("content-lengt", "content-length"));
  EXPECT_FALSE(same_ignoring_case("[", "{"));  // they differ in the bit that letters differ in
  EXPECT_FALSE(same_ignoring_case("\xc3\x84", "\xc3\xa4"));
}

TEST(PercentDecode, DecodesOnceAndRefusesTheRest) {
  std::array<char, 8> into;
  EXPECT_EQ(percent_decode("a%2Fb%3a", into), "a/b:");
  EXPECT_EQ(percent_decode("%252F", into), "%2F");
  EXPECT_EQ(percent_decode("a+b", into), "a+b");
  for (const char* text : {"%", "%2", "%2g", "%-1", "123456789"}) EXPECT_FALSE(percent_decode(text, into)) << text;
}

TEST(PercentDecode, GivesAStringAsLongAsItNeedsToBe) {
  EXPECT_EQ(percent_decode("%41"), "A");
  EXPECT_EQ(percent_decode(""), "");
  EXPECT_FALSE(percent_decode("%4"));
}

TEST(NameMap, IsAskedWithAView) {
  NameMap<int> map{{"one", 1}};
  const std::string_view text = "one two";
  const auto found = map.find(text.substr(0, 3));
  ASSERT_NE(found, map.end());
  EXPECT_EQ(found->second, 1);
}

}  // namespace
}  // namespace sluice
