// A whole answer of a chat as a response.
#include <gtest/gtest.h>

#include <string>

#include "translate/responses_to_chat.h"
#include "wire/skim.h"

namespace sluice::translate {
namespace {

constexpr dialect::AnswerFacts kAnswerTestFacts = {.unique = "1", .model = "m", .prompt_estimate = 7};

std::string response_of(std::string_view message, std::string_view finish = "stop", std::string_view more = {}) {
  std::string answer =
      R"({"id":"c","object":"chat.completion","created":5,"model":"x","choices":[{"index":0,"message":)";
  answer.append(message).append(R"(,"finish_reason":")").append(finish).append("\"").append(more).append("}]");
  answer.append(R"(,"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14}})");
  Buffer out;
  if (ResponsesToChat().append_answer(out, answer, kAnswerTestFacts) == dialect::Converted::kNot) return "not";
  return std::string(out.view());
}
std::string output_of(std::string_view message, std::string_view finish = "stop", std::string_view more = {}) {
  return std::string(wire::skim_find(response_of(message, finish, more), "output"));
}

TEST(ResponseAnswer, ItHasAllThatAResponseHas) {
  EXPECT_EQ(
      response_of(R"({"role":"assistant","content":"Hi \"you\""})"),
      R"({"id":"resp_1","object":"response","created_at":5,"status":"completed","background":false,"error":null,"incomplete_details":null,)"
      R"("model":"m",)"
      R"("output":[{"id":"msg_1_0","type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi \"you\"","annotations":[],"logprobs":[]}],"status":"completed"}],)"
      R"("instructions":null,"max_output_tokens":null,"metadata":{},"parallel_tool_calls":true,"reasoning":{"effort":null,"summary":null},)"
      R"("temperature":null,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":null,"truncation":"disabled","user":null,)"
      R"("previous_response_id":null,"service_tier":"default","store":false,)"
      R"("usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":14}})");
}

TEST(ResponseAnswer, OfSettingsThatAreTooLongTheLongestAreLeftOut) {
  const auto settings_of = [](const std::string& body) {
    Buffer out;
    ResponsesToChat().append_settings(out, body);
    return "{" + std::string(out.view().substr(1)) + "}";
  };
  const std::string tools = "[\"" + std::string(40'000, 't') + "\"]", long_text = '"' + std::string(30'000, 'i') + '"';
  const std::string said = settings_of(R"({"model":"m","tools":)" + tools + R"(,"instructions":)" + long_text +
                                       ",\"top_p\":\r\n0.5,\"temperature\":null}");
  EXPECT_EQ(wire::skim_find(said, "tools"), "[]");
  EXPECT_EQ(wire::skim_find(said, "instructions"), long_text);
  EXPECT_EQ(wire::skim_find(said, "top_p"), "0.5");
  EXPECT_EQ(wire::skim_find(said, "temperature"), "null");
  EXPECT_EQ(wire::skim_find(settings_of(R"({"metadata":{"a":)"
                                        "\r\n"
                                        R"("b"}})"),
                            "metadata"),
            R"({"a":  "b"})");
}

TEST(ResponseAnswer, MoreCallsThanAnyModelMakesAreNone) {
  std::string calls = "{}";
  for (int i = 0; i < 100'000; ++i) calls += ",{}";
  EXPECT_LT(output_of(R"({"role":"assistant","tool_calls":[)" + calls + "]}", "tool_calls").size(), 200'000U);
}

TEST(ResponseAnswer, ReasoningTextAndCalls) {
  EXPECT_EQ(
      output_of(
          R"({"role":"assistant","reasoning_content":"hm","content":"a","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},)"
          R"({"id":"c2","type":"function","function":{"name":"p__custom","arguments":"{\"input\":\"t\"}"}}]})",
          "tool_calls"),
      R"([{"id":"rs_1_0","type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"sluice:reasoning_content","status":"completed"},)"
      R"({"id":"msg_1_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}],"status":"completed"},)"
      R"({"id":"fc_1_2","type":"function_call","call_id":"c1","name":"f","arguments":"{\"x\":1}","status":"completed"},)"
      R"({"id":"ctc_1_3","type":"custom_tool_call","call_id":"c2","name":"p","input":"t","status":"completed"}])");
  EXPECT_EQ(
      output_of(R"({"content":"\n\n","tool_calls":[{"id":"c1","function":{"name":"f","arguments":""}}]})",
                "tool_calls"),
      R"([{"id":"fc_1_0","type":"function_call","call_id":"c1","name":"f","arguments":"{}","status":"completed"}])");
}

TEST(ResponseAnswer, PartsAsSomeServersSendThem) {
  EXPECT_EQ(
      output_of(
          R"({"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"},{"type":"text","text":"b"}]})"),
      R"([{"id":"rs_1_0","type":"reasoning","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"sluice:","status":"completed"},)"
      R"({"id":"msg_1_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"ab","annotations":[],"logprobs":[]}],"status":"completed"}])");
}

TEST(ResponseAnswer, ARefusalAndLogProbabilities) {
  EXPECT_EQ(
      output_of(R"({"content":null,"refusal":"No."})"),
      R"([{"id":"msg_1_0","type":"message","role":"assistant","content":[{"type":"refusal","refusal":"No."}],"status":"completed"}])");
  EXPECT_EQ(
      output_of(R"({"content":"a"})", "stop", R"(,"logprobs":{"content":[{"token":"a"},{"token":"b"}]})"),
      R"([{"id":"msg_1_0","type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[{"token":"a"},{"token":"b"}]}],"status":"completed"}])");
}

TEST(ResponseAnswer, OneThatMetItsCapIsIncomplete) {
  const std::string response = response_of(R"({"content":"a"})", "length");
  EXPECT_EQ(wire::skim_find(response, "status"), R"("incomplete")");
  EXPECT_EQ(wire::skim_find(response, "incomplete_details"), R"({"reason":"max_output_tokens"})");
  EXPECT_NE(response.find(R"("status":"incomplete"}])"), std::string::npos);
}

TEST(ResponseAnswer, NothingCanBeMadeOfWhatHasNoChoice) {
  Buffer out;
  EXPECT_EQ(ResponsesToChat().append_answer(out, R"({"choices":[]})", kAnswerTestFacts), dialect::Converted::kNot);
}

}  // namespace
}  // namespace sluice::translate
