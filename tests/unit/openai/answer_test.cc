#include "openai/answer.h"

#include <gtest/gtest.h>

#include "openai/json_text.h"

namespace sluice::openai {
namespace {

TEST(Unescape, DecodesAndReplacesWhatIsWrong) {
  std::array<char, 64> into;
  EXPECT_EQ(unescape(R"(a\n\"\\\/\u00e9\ud83d\ude00)", into), "a\n\"\\/\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(unescape(R"(\ud83d|\ude00|\u12|\q|\)", into),
            "\xEF\xBF\xBD|\xEF\xBF\xBD|\xEF\xBF\xBD"
            "12|\xEF\xBF\xBD|\xEF\xBF\xBD");
  EXPECT_EQ(unescape("\xC3\xA9\xC3\xA9", std::span(into).first(3)), "\xC3\xA9");
}

}  // namespace
}  // namespace sluice::openai
