// Whole answers of chats and the messages that are made of them, field by field.
#include "translate/message_answer.h"

#include <gtest/gtest.h>

#include <string>

#include "wire/json_check.h"

namespace sluice::translate {
namespace {

struct AnswerCase {
  const char* name;
  const char* choice;   // behind "index"
  const char* content;  // of the message
  const char* end;      // stop_reason and stop_sequence
};
std::ostream& operator<<(std::ostream& out, const AnswerCase& one) { return out << one.name; }
struct MessageAnswerPairs : testing::TestWithParam<AnswerCase> {};

std::string answer_message(const std::string& answer) {
  Buffer out;
  const dialect::AnswerFacts facts{.unique = "0a", .model = "mine", .prompt_estimate = 12};
  if (append_message(out, answer, facts) == dialect::Converted::kNot) return "not";
  EXPECT_TRUE(wire::is_json_object(out.view())) << out.view();
  return std::string(out.view());
}

TEST_P(MessageAnswerPairs, SayTheSame) {
  EXPECT_EQ(
      answer_message(
          std::string(R"({"id":"chatcmpl-1","object":"chat.completion","model":"m","choices":[{"index":0,)") +
          GetParam().choice +
          R"(}],"usage":{"prompt_tokens":100,"completion_tokens":7,)"
          R"("prompt_tokens_details":{"cached_tokens":60}}})"),
      std::string(R"({"id":"msg_0a","type":"message","role":"assistant","model":"mine","content":[)") +
          GetParam().content + "]," + GetParam().end +
          R"(,"usage":{"input_tokens":40,"cache_creation_input_tokens":0,"cache_read_input_tokens":60,"output_tokens":7}})");
}

INSTANTIATE_TEST_SUITE_P(
    All, MessageAnswerPairs,
    testing::Values(
        AnswerCase{"text", R"("message":{"role":"assistant","content":"a \"b\" \u00e9"},"finish_reason":"stop")",
                   R"({"type":"text","text":"a \"b\" \u00e9"})", R"("stop_reason":"end_turn","stop_sequence":null)"},
        AnswerCase{
            "thinking",
            R"("message":{"role":"assistant","content":"\n\nSo.","reasoning_content":"hm"},"finish_reason":"length")",
            R"({"type":"thinking","thinking":"hm","signature":"sluice:reasoning_content"},{"type":"text","text":"\n\nSo."})",
            R"("stop_reason":"max_tokens","stop_sequence":null)"},
        AnswerCase{
            "calls",
            R"("message":{"role":"assistant","content":null,"tool_calls":[{"id":"c0","type":"function","function":)"
            R"({"name":"f","arguments":"{ \"a\": \"\\u00e9\\n\", \"n\": 1.50 }"}},{"type":"function","function":)"
            R"({"name":"g","arguments":""}}]},"finish_reason":"tool_calls")",
            R"({"type":"tool_use","id":"c0","name":"f","input":{ "a": "\u00e9\n", "n": 1.50 }},{"type":"tool_use",)"
            R"("id":"toolu_0a_2","name":"g","input":{}})",
            R"("stop_reason":"tool_use","stop_sequence":null)"},
        AnswerCase{
            "calls_beside_stop",
            R"("message":{"content":"Looking.","tool_calls":[{"id":"c0","function":{"name":"f","arguments":{"a":1}}}]},)"
            R"("finish_reason":"stop")",
            R"({"type":"text","text":"Looking."},{"type":"tool_use","id":"c0","name":"f","input":{"a":1}})",
            R"("stop_reason":"tool_use","stop_sequence":null)"},
        AnswerCase{
            "arguments_that_are_no_object",
            R"("message":{"content":"","tool_calls":[{"id":"c0","function":{"name":"f","arguments":"{\"a\": tru}"}}]},)"
            R"("finish_reason":"tool_calls")",
            R"({"type":"tool_use","id":"c0","name":"f","input":{"raw_arguments":"{\"a\": tru}"}})",
            R"("stop_reason":"tool_use","stop_sequence":null)"},
        AnswerCase{
            "a_function_call",
            R"("message":{"content":null,"function_call":{"name":"f","arguments":"{}"}},"finish_reason":"function_call")",
            R"({"type":"tool_use","id":"toolu_0a_1","name":"f","input":{}})",
            R"("stop_reason":"tool_use","stop_sequence":null)"},
        AnswerCase{"a_refusal", R"("message":{"content":null,"refusal":"No."},"finish_reason":"stop")",
                   R"({"type":"text","text":"No."})", R"("stop_reason":"refusal","stop_sequence":null)"},
        AnswerCase{"a_stop_sequence", R"("message":{"content":"x"},"finish_reason":"stop","stop_reason":"END")",
                   R"({"type":"text","text":"x"})", R"("stop_reason":"stop_sequence","stop_sequence":"END")"},
        AnswerCase{"nothing", R"("message":{"content":null},"finish_reason":"stop")", "",
                   R"("stop_reason":"end_turn","stop_sequence":null)"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(MessageAnswer, UsageThatNobodyToldIsCounted) {
  const std::string message =
      answer_message(R"({"choices":[{"index":0,"message":{"content":"Hello there"},"finish_reason":"stop"}]})");
  EXPECT_NE(message.find(R"("usage":{"input_tokens":12,)"), std::string::npos) << message;
  EXPECT_NE(message.find(R"("output_tokens":3})"), std::string::npos) << message;
}

TEST(MessageAnswer, WhatHasNoChoiceIsNone) { EXPECT_EQ(answer_message(R"({"choices":[]})"), "not"); }

}  // namespace
}  // namespace sluice::translate
