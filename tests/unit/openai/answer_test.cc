#include "openai/answer.h"

#include <gtest/gtest.h>

#include "openai/json_text.h"

namespace sluice::openai {
namespace {

TEST(FindUsage, EmbeddingsHaveNoCompletion) {
  const std::optional<UsageReading> told =
      find_usage(endpoint_of(EndpointId::kEmbeddings),
                 R"({"data":[{"embedding":"AA=="}],"usage":{"prompt_tokens":7,"total_tokens":7}})");
  ASSERT_TRUE(told);
  EXPECT_EQ(told->usage.prompt_tokens, 7u);
  EXPECT_EQ(told->usage.completion_tokens, 0u);
}

TEST(FindModel, UnescapesAndBounds) {
  std::array<char, 8> into;
  EXPECT_EQ(find_model(R"({"a":{"model":"x"},"model":"org\/m"})", into), "org/m");
  EXPECT_EQ(find_model(R"({"model":"1234567890"})", into), "12345678");
  EXPECT_EQ(find_model(R"({"model":7})", into), "");
  EXPECT_EQ(find_model("", into), "");
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
}  // namespace sluice::openai
