#include "openai/answer.h"

#include <gtest/gtest.h>

#include "openai/json_text.h"
#include "openai/usage_reader.h"

namespace sluice::openai {
namespace {

struct Case {
  const char* body;
  std::uint64_t prompt, cached, completion, reasoning;
};

TEST(FindUsage, C24KnowsEveryShape) {
  const Case cases[] = {
      {R"({"choices":[{"message":{"content":"\"usage\":{}"}}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}})",
       9, 3, 4, 2},
      {R"({"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":3},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":13}})",
       9, 3, 4, 2},
      {R"({"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":null,"reasoning_tokens":2}})", 9, 0,
       4, 2},
      {R"({"usage":{"input_tokens":5,"cache_creation_input_tokens":2,"cache_read_input_tokens":3,"output_tokens":4}})",
       10, 3, 4, 0},
      {R"({"usage":{"type":"tokens","input_tokens":9,"output_tokens":4,"input_token_details":{"audio_tokens":9}}})", 9,
       0, 4, 0},
      {R"({ "usage" : { "prompt_tokens" : 9.0 } })", 9, 0, 0, 0},
      {R"({"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":16,"completion_tokens_details":{"reasoning_tokens":10}}})",
       5, 0, 11, 10},
      {R"({"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":8},"completion_tokens":1,"reasoning_tokens":8}})",
       1, 1, 1, 1},
  };
  for (const Case& c : cases) {
    const std::optional<Usage> usage = find_usage(endpoint_of(EndpointId::kChatCompletions), c.body);
    ASSERT_TRUE(usage) << c.body;
    EXPECT_EQ(usage->source, UsageSource::kMeasured);
    EXPECT_EQ(usage->prompt_tokens, c.prompt) << c.body;
    EXPECT_EQ(usage->cached_tokens, c.cached) << c.body;
    EXPECT_EQ(usage->completion_tokens, c.completion) << c.body;
    EXPECT_EQ(usage->reasoning_tokens, c.reasoning) << c.body;
  }
}

TEST(FindUsage, C24AbsentIsNotZero) {
  for (const char* body : {"", "[]", "{}", R"({"usage":null})", R"({"usage":[]})", R"({"usage":{}})",
                           R"({"usage":{"prompt_tokens":0,"completion_tokens":0}})",
                           R"({"usage":{"type":"duration","seconds":3}})", R"({"usage":{"prompt_tokens":-4}})",
                           R"({"usage":{"prompt_tokens":4)", R"({"usage":{"prompt_tokens":99999999999999999999999}})"})
    EXPECT_FALSE(find_usage(endpoint_of(EndpointId::kChatCompletions), body)) << body;
}

TEST(FindUsage, EmbeddingsHaveNoCompletion) {
  const std::optional<Usage> usage =
      find_usage(endpoint_of(EndpointId::kEmbeddings),
                 R"({"data":[{"embedding":"AA=="}],"usage":{"prompt_tokens":7,"total_tokens":7}})");
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->prompt_tokens, 7u);
  EXPECT_EQ(usage->completion_tokens, 0u);
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
