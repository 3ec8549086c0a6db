#include "openai/json_text.h"

#include <gtest/gtest.h>

namespace sluice::openai {
namespace {

TEST(JsonText, WhatIsNotUtf8IsReplacedAndACutNeverSplitsACharacter) {
  EXPECT_EQ(valid_utf8("plain", 64), "plain");
  EXPECT_EQ(valid_utf8("pl\xC3\xA4in", 64), "pl\xC3\xA4in");
  EXPECT_EQ(valid_utf8("\xC3\xA4\xC3\xA4", 3), "\xC3\xA4");
  EXPECT_EQ(valid_utf8("a\xFF\xC3", 64), "a\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(valid_utf8("a\xFF", 3), "a");
  EXPECT_EQ(valid_utf8("", 3), "");
}

}  // namespace
}  // namespace sluice::openai
