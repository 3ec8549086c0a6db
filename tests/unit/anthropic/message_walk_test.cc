#include "anthropic/message_walk.h"

#include <gtest/gtest.h>

namespace sluice::anthropic {
namespace {

using Form = dialect::WholeAnswer::Form;

struct Case {
  const char* name;
  const char* answer;
  Form form = Form::kWhole;
  bool is_answer = true;
  bool says_error = false;
  std::uint64_t prompt = 0, completion = 0;
  std::uint64_t text_bytes = 0;
  const char* model = "";
  Api api = Api::kMessages;
};

const Case kCases[] = {
    {.name = "A message",
     .answer =
         R"({"id":"m","type":"message","model":"cl\u0061ude","content":[{"type":"text","text":"12345"}],"usage":{"input_tokens":4,"cache_read_input_tokens":2455,"cache_creation_input_tokens":0,"output_tokens":23}})",
     .prompt = 2459,
     .completion = 23,
     .text_bytes = 5,
     .model = "claude"},
    {.name = "Usage before the content, and braces in the text",
     .answer =
         "\xEF\xBB\xBF {\"usage\":{\"input_tokens\":1,\"output_tokens\":2},\"content\":[{\"text\":\"}]\\\"{\"}]}\n",
     .prompt = 1,
     .completion = 2,
     .text_bytes = 4},
    {.name = "Only the answer's own usage counts",
     .answer =
         R"({"content":[{"type":"tool_use","input":{"usage":{"input_tokens":9}}}],"x":{"usage":{"output_tokens":7}}})"},
    {.name = "Thinking and a tool's input count, ids, signatures and base64 do not",
     .answer =
         R"({"content":[{"type":"thinking","thinking":"abc","signature":"ssss"},{"type":"tool_use","id":"toolu","name":"fn","input":{"list":["de","f"]}},{"type":"redacted_thinking","data":"zzzz"}]})",
     .text_bytes = 8},
    {.name = "An error",
     .answer = R"({"type":"error","error":{"type":"api_error","message":"m"}})",
     .is_answer = false,
     .says_error = true},
    {.name = "A flat error", .answer = R"({"error":"boom"})", .is_answer = false, .says_error = true},
    {.name = "No error", .answer = R"({"error":null,"content":[]})"},
    {.name = "No answer", .answer = "{}", .is_answer = false},
    {.name = "Content that is no list", .answer = R"({"content":{"text":"x"}})", .is_answer = false, .text_bytes = 1},
    {.name = "Two objects", .answer = R"({"content":[]}{})", .form = Form::kBroken},
    {.name = "null", .answer = "null", .form = Form::kBroken, .is_answer = false},
    {.name = "Brackets that do not match", .answer = R"({"content":[}])", .form = Form::kBroken},
    {.name = "One that does not end", .answer = R"({"content":[)", .form = Form::kOpen},
    {.name = "A count", .answer = R"({"input_tokens":2095})", .api = Api::kCountTokens},
    {.name = "A count of nothing",
     .answer = R"({"context_management":{"x":1},"input_tokens":0})",
     .api = Api::kCountTokens},
    {.name = "No count", .answer = R"({"input_tokens":null,"a":1})", .is_answer = false, .api = Api::kCountTokens},
    {.name = "A message is no count",
     .answer = R"({"content":[],"usage":{"input_tokens":3}})",
     .is_answer = false,
     .api = Api::kCountTokens},
};

TEST(MessageWalk, SaysTheSameWhereverItsInputIsSplit) {
  for (const Case& c : kCases) {
    const std::string_view answer(c.answer);
    for (std::size_t cut = 0; cut <= answer.size(); ++cut) {
      MessageWalk walk(endpoint_of(c.api));
      walk.take(answer.substr(0, cut));
      walk.take(answer.substr(cut));
      ASSERT_EQ(walk.form(), c.form) << c.name << " at " << cut;
      ASSERT_EQ(walk.is_answer(), c.is_answer) << c.name << " at " << cut;
      ASSERT_EQ(walk.says_error(), c.says_error) << c.name << " at " << cut;
      ASSERT_EQ(walk.text_bytes(), c.text_bytes) << c.name << " at " << cut;
      ASSERT_EQ(walk.model(), c.model) << c.name << " at " << cut;
      const Usage usage = walk.told().value_or(dialect::UsageReading{}).usage;
      ASSERT_EQ(usage.prompt_tokens, c.prompt) << c.name << " at " << cut;
      ASSERT_EQ(usage.completion_tokens, c.completion) << c.name << " at " << cut;
    }
  }
}

TEST(MessageWalk, AUsageObjectThatNeverEndsIsNotKept) {
  MessageWalk walk(endpoint_of(Api::kMessages));
  walk.take(R"({"usage":{"a":")");
  for (int i = 0; i < 1000; ++i) walk.take(std::string(1000, 'x'));
  walk.take(R"("},"content":[],"usage":{"input_tokens":3,"output_tokens":4}})");
  EXPECT_EQ(walk.form(), Form::kWhole);
  ASSERT_TRUE(walk.told());
  EXPECT_EQ(walk.told()->usage.prompt_tokens, 3u);
}

}  // namespace
}  // namespace sluice::anthropic
