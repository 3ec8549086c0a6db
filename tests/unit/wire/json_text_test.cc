#include "wire/json_text.h"

#include <gtest/gtest.h>

#include <array>
#include <span>

namespace sluice::wire {
namespace {

TEST(JsonText, WhatIsNotUtf8IsReplacedAndACutNeverSplitsACharacter) {
  EXPECT_EQ(valid_utf8("plain", 64), "plain");
  EXPECT_EQ(valid_utf8("pl\xC3\xA4in", 64), "pl\xC3\xA4in");
  EXPECT_EQ(valid_utf8("\xC3\xA4\xC3\xA4", 3), "\xC3\xA4");
  EXPECT_EQ(valid_utf8("a\xFF\xC3", 64), "a\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(valid_utf8("a\xFF", 3), "a");
  EXPECT_EQ(valid_utf8("", 3), "");
}

TEST(Unescape, DecodesAndReplacesWhatIsWrong) {
  std::array<char, 64> into;
  EXPECT_EQ(unescape(R"(a\n\"\\\/\u00e9\ud83d\ude00)", into), "a\n\"\\/\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(unescape(R"(\ud83d|\ude00|\u12|\q|\)", into),
            "\xEF\xBF\xBD|\xEF\xBF\xBD|\xEF\xBF\xBD"
            "12|\xEF\xBF\xBD|\xEF\xBF\xBD");
  EXPECT_EQ(unescape("\xC3\xA9\xC3\xA9", std::span(into).first(3)), "\xC3\xA9");
}

}  // namespace
}  // namespace sluice::wire
