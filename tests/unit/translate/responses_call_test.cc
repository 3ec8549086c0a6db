// A call of Responses in, a call of chat completions out: pairs, member by member.
#include <gtest/gtest.h>

#include <string>

#include "openai/call_reader.h"
#include "translate/responses_to_chat.h"

namespace sluice::translate {
namespace {

struct Asked {
  bool taken = false;
  std::string body;  // or why it was not
};

Asked chat_of(std::string_view body) {
  Buffer in, out;
  in.append(body);
  (void)in.prepare(128);
  wire::Parser parser;
  const auto read = openai::read_call(openai::endpoint_of(openai::EndpointId::kResponses), in.view(), parser);
  if (!read) return {false, read.error().what};
  const Status made = ResponsesToChat().append_call(out, in.view());
  if (!made) return {false, made.error().what};
  const std::string text(out.view());
  (void)out.prepare(128);
  const auto again = openai::read_call(openai::endpoint_of(openai::EndpointId::kChatCompletions), out.view(), parser);
  EXPECT_TRUE(again.has_value()) << text;
  return {true, text};
}

// The members behind the messages of a call with one message, and before them.
std::string chat_members(std::string_view members) {
  const Asked asked = chat_of(R"({"model":"m","input":"x",)" + std::string(members) + "}");
  if (!asked.taken) return asked.body;
  constexpr std::string_view kKnown = R"("model":"m","messages":[{"role":"user","content":"x"}])";
  const std::size_t at = asked.body.find(kKnown);
  EXPECT_NE(at, std::string::npos) << asked.body;
  if (at == std::string::npos) return asked.body;
  const std::size_t behind = at + kKnown.size();
  return asked.body.substr(1, at - 1) + "|" + asked.body.substr(behind, asked.body.size() - behind - 1);
}

std::string chat_messages(std::string_view input, std::string_view instructions = {}) {
  std::string body = R"({"model":"m","input":)" + std::string(input);
  if (!instructions.empty()) body += R"(,"instructions":)" + std::string(instructions);
  const Asked asked = chat_of(body + "}");
  constexpr std::string_view kBegin = R"({"model":"m","messages":)";
  if (!asked.taken || !asked.body.starts_with(kBegin)) return asked.body;
  return asked.body.substr(kBegin.size(), asked.body.size() - kBegin.size() - 1);
}

std::string user_content(std::string_view content) {
  const std::string messages = chat_messages(R"([{"role":"user","content":)" + std::string(content) + "}]");
  constexpr std::string_view kBegin = R"([{"role":"user","content":)";
  if (!messages.starts_with(kBegin)) return messages;
  return messages.substr(kBegin.size(), messages.size() - kBegin.size() - 2);
}

std::string chat_tools(std::string_view tools) { return chat_members(R"("tools":)" + std::string(tools)); }

TEST(ResponsesCall, AStringIsWhatTheUserSays) {
  EXPECT_EQ(chat_messages(R"("Hi \u00e9 \n")"), R"([{"role":"user","content":"Hi \u00e9 \n"}])");
}

TEST(ResponsesCall, InstructionsAndLeadingWordsOfSystemAndDeveloperAreOneSystemMessage) {
  EXPECT_EQ(chat_messages(R"([{"role":"developer","content":[{"type":"input_text","text":"two"}]},)"
                          R"({"type":"message","role":"system","content":"three"},{"role":"user","content":"x"},)"
                          R"({"role":"developer","content":"later"},{"role":"user","content":"y"}])",
                          R"("one")"),
            R"([{"role":"system","content":"one\n\ntwo\n\nthree"},{"role":"user","content":"x"},)"
            R"({"role":"system","content":"later"},{"role":"user","content":"y"}])");
  EXPECT_EQ(chat_messages(R"("x")", "null"), R"([{"role":"user","content":"x"}])");
}

TEST(ResponsesCall, PartsOfAMessage) {
  EXPECT_EQ(user_content(R"([{"type":"input_text","text":"a"}])"), R"("a")");
  EXPECT_EQ(user_content(R"([{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}])"),
            R"([{"type":"text","text":"a"},{"type":"text","text":"b"}])");
  EXPECT_EQ(user_content(R"([{"type":"input_image","image_url":"data:image/png;base64,AA==","detail":"low"}])"),
            R"([{"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low"}}])");
  EXPECT_EQ(user_content(R"([{"type":"input_image","image_url":"https://x/y","detail":"original"}])"),
            R"([{"type":"image_url","image_url":{"url":"https://x/y","detail":"high"}}])");
  EXPECT_EQ(user_content(R"([{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AA"}])"),
            R"([{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AA"}}])");
  EXPECT_EQ(user_content(R"([{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}])"),
            R"([{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}])");
  EXPECT_EQ(user_content(R"([{"ty\u0070e":"input_\u0074ext","text":"a"}])"), R"("a")");
}

TEST(ResponsesCall, ATurnOfTheModelIsOneMessage) {
  EXPECT_EQ(
      chat_messages(
          R"([{"role":"user","content":"x"},)"
          R"({"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"sluice:reasoning"},)"
          R"({"type":"message","role":"assistant","content":[{"type":"output_text","text":"I ","annotations":[]},{"type":"output_text","text":"look"}]},)"
          R"({"type":"function_call","id":"fc_1","call_id":"c1","name":"ls","arguments":"{\"a\":1}"},)"
          R"({"type":"function_call","call_id":"c2","name":"pwd","arguments":""},)"
          R"({"type":"function_call_output","call_id":"c1","output":"a b"},)"
          R"({"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"/"},{"type":"input_text","text":"tmp"}]},)"
          R"({"type":"message","role":"assistant","content":"done"},{"role":"user","content":"y"}])"),
      R"([{"role":"user","content":"x"},{"role":"assistant","content":"I look","reasoning":"hm","tool_calls":[)"
      R"({"id":"c1","type":"function","function":{"name":"ls","arguments":"{\"a\":1}"}},)"
      R"({"id":"c2","type":"function","function":{"name":"pwd","arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"c1","content":"a b"},{"role":"tool","tool_call_id":"c2","content":"/\ntmp"},)"
      R"({"role":"assistant","content":"done"},{"role":"user","content":"y"}])");
}

TEST(ResponsesCall, CallsAndTheirOutputsStandTogether) {
  EXPECT_EQ(
      chat_messages(R"([{"type":"function_call","call_id":"a","name":"f","arguments":"{}"},)"
                    R"({"role":"assistant","content":"between"},)"
                    R"({"type":"function_call_output","call_id":"a","output":"1"},)"
                    R"({"type":"function_call","call_id":"b","name":"f","arguments":"{}"},)"
                    R"({"type":"function_call_output","call_id":"b","output":{"n":2}}])"),
      R"([{"role":"assistant","content":"between","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"a","content":"1"},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"b","content":"{\"n\":2}"}])");
}

TEST(ResponsesCall, ReasoningThatAnotherServerSaidIsLeftOut) {
  for (const char* const encrypted : {"null", R"("gAAAAAB")", R"("sluice:else")", R"("")"}) {
    EXPECT_EQ(
        chat_messages(
            R"([{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":)" +
            std::string(encrypted) + R"(},{"role":"assistant","content":"a"}])"),
        R"([{"role":"assistant","content":"a"}])");
  }
}

TEST(ResponsesCall, ImagesThatToolsReturnedFollowAllOutputsOfTheTurn) {
  EXPECT_EQ(
      chat_messages(
          R"([{"type":"function_call","call_id":"a","name":"see","arguments":"{}"},{"type":"function_call","call_id":"b","name":"see","arguments":"{}"},)"
          R"({"type":"function_call_output","call_id":"a","output":[{"type":"input_image","image_url":"data:image/png;base64,AA"}]},)"
          R"({"type":"function_call_output","call_id":"b","output":"no"},{"role":"user","content":"?"}])"),
      R"([{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"see","arguments":"{}"}},)"
      R"({"id":"b","type":"function","function":{"name":"see","arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"a","content":"What this tool returned is in the next message."},)"
      R"({"role":"tool","tool_call_id":"b","content":"no"},)"
      R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]},{"role":"user","content":"?"}])");
}

TEST(ResponsesCall, CustomCallsAndShellCallsOfTheHistory) {
  EXPECT_EQ(
      chat_messages(
          R"([{"type":"custom_tool_call","call_id":"a","name":"apply_patch","input":"*** \"Begin\"\n"},)"
          R"({"type":"custom_tool_call_output","call_id":"a","output":"ok"},)"
          R"({"type":"local_shell_call","id":"l","call_id":"b","action":{"type":"exec","command":["ls"],"env":{}},"status":"completed"},)"
          R"({"type":"local_shell_call_output","id":"b","output":"x"}])"),
      R"([{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"apply_patch__custom","arguments":"{\"input\":\"*** \\\"Begin\\\"\\n\"}"}}]},)"
      R"({"role":"tool","tool_call_id":"a","content":"ok"},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"b","type":"function","function":{"name":"local_shell__shell","arguments":"{\"type\":\"exec\",\"command\":[\"ls\"],\"env\":{}}"}}]},)"
      R"({"role":"tool","tool_call_id":"b","content":"x"}])");
}

TEST(ResponsesCall, WhatHostedToolsDidIsLeftOut) {
  EXPECT_EQ(
      chat_messages(R"([{"type":"web_search_call","id":"ws_1","status":"completed"},{"role":"user","content":"x"}])"),
      R"([{"role":"user","content":"x"}])");
}

TEST(ResponsesCall, Functions) {
  EXPECT_EQ(
      chat_tools(R"([{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true}])"),
      R"(|,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}])");
  EXPECT_EQ(
      chat_tools(R"([{"type":"function","name":"f","parameters":null,"strict":false,"description":null}])"),
      R"(|,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}])");
  EXPECT_EQ(
      chat_tools(
          R"([{"type":"namespace","name":"ab","description":"d","tools":[{"type":"function","name":"f","parameters":{}}]}])"),
      R"(|,"tools":[{"type":"function","function":{"name":"ns2__ab__f","parameters":{}}}])");
}

TEST(ResponsesCall, ACustomToolIsAFunctionWithOneStringAndItsGrammarIsTold) {
  EXPECT_EQ(
      chat_tools(
          R"([{"type":"custom","name":"apply_patch","description":"Edits.","format":{"type":"grammar","syntax":"lark","definition":"start: \"x\""}}])"),
      R"(|,"tools":[{"type":"function","function":{"name":"apply_patch__custom","description":"Edits.\n\nThe input must follow this grammar (lark):\nstart: \"x\"",)"
      R"("parameters":{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as plain text."}},"required":["input"],"additionalProperties":false}}}])");
}

TEST(ResponsesCall, ToolsThatClientsAddByThemselvesAreLeftOutAndOthersRefused) {
  EXPECT_EQ(
      chat_members(
          R"("tools":[{"type":"web_search","external_web_access":false},{"type":"image_generation"}],"tool_choice":"auto","parallel_tool_calls":true)"),
      "|");
  for (const char* const tool :
       {R"({"type":"mcp","server_label":"x","server_url":"https://x"})", R"({"type":"computer_use_preview"})",
        R"({"type":"code_interpreter"})", R"({"type":"file_search"})", R"({"type":"newer"})"})
    EXPECT_NE(chat_tools("[" + std::string(tool) + "]").find("OpenAI's own service runs"), std::string::npos) << tool;
}

TEST(ResponsesCall, ToolChoice) {
  const auto choice = [](std::string_view choice) {
    const std::string members = chat_members(
        R"("tools":[{"type":"function","name":"f","parameters":{}},{"type":"custom","name":"c"}],"tool_choice":)" +
        std::string(choice));
    const std::size_t at = members.find(",\"tool_choice\":");
    return at == std::string::npos ? members : members.substr(at + 15);
  };
  EXPECT_EQ(choice(R"("required")"), R"("required")");
  EXPECT_EQ(choice(R"("none")"), R"("none")");
  EXPECT_EQ(choice(R"({"type":"function","name":"f"})"), R"({"type":"function","function":{"name":"f"}})");
  EXPECT_EQ(choice(R"({"type":"custom","name":"c"})"), R"({"type":"function","function":{"name":"c__custom"}})");
  EXPECT_NE(choice(R"({"type":"web_search"})").find("'tool_choice' asks for a tool"), std::string::npos);
  EXPECT_EQ(
      chat_members(
          R"("tools":[{"type":"function","name":"f","parameters":{}},{"type":"function","name":"g","parameters":{}}],)"
          R"("tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"g"}]},"parallel_tool_calls":false)"),
      R"(|,"tools":[{"type":"function","function":{"name":"g","parameters":{}}}],"tool_choice":"required","parallel_tool_calls":false)");
  EXPECT_NE(chat_members(R"("tool_choice":"required")").find("offers nothing"), std::string::npos);
}

TEST(ResponsesCall, MembersThatAChatHas) {
  EXPECT_EQ(
      chat_members(
          R"("stream":true,"temperature":0.30,"top_p":1,"user":"u","safety_identifier":"s","prompt_cache_key":"k","top_k":5)"),
      R"("stream":true,"temperature":0.30,"top_p":1,"user":"u","safety_identifier":"s","prompt_cache_key":"k","top_k":5,|)");
  EXPECT_EQ(chat_members(
                R"("reasoning":{"effort":"low","summary":"auto"},"text":{"verbosity":"low","format":{"type":"text"}})"),
            R"(|,"verbosity":"low","reasoning_effort":"low")");
  EXPECT_EQ(chat_members(R"("top_logprobs":2)"), R"(|,"top_logprobs":2,"logprobs":true)");
  EXPECT_EQ(chat_members(R"("include":["message.output_text.logprobs"])"), R"(|,"logprobs":true)");
}

TEST(ResponsesCall, StructuredOutput) {
  EXPECT_EQ(
      chat_members(
          R"("text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true,"description":null}})"),
      R"(|,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}})");
  EXPECT_EQ(chat_members(R"("text":{"format":{"type":"json_object"}})"),
            R"(|,"response_format":{"type":"json_object"})");
}

TEST(ResponsesCall, ANameThatIsSpeltAsJsonStaysAName) {
  EXPECT_EQ(
      chat_members(R"("text":{"format":{"type":"json_schema","x\":1}},\"max_tokens\":9,\"y\":{\"z\":{\"w":2}})"),
      R"(|,"response_format":{"type":"json_schema","json_schema":{"x\":1}},\"max_tokens\":9,\"y\":{\"z\":{\"w":2}})");
}

TEST(ResponsesCall, WhatAsksForNothingThatAChatCouldDoIsLeftOut) {
  EXPECT_EQ(chat_members(
                R"("store":true,"include":["reasoning.encrypted_content"],"truncation":"auto","metadata":{"a":"b"},)"
                R"("client_metadata":{"a":"b"},"stream_options":{"include_obfuscation":false},"max_output_tokens":5,)"
                R"("previous_response_id":null,"background":false,"max_tool_calls":3,"temperature":null)"),
            "|");
}

// In a time that grows with them, not with their square: it would be minutes.
TEST(ResponsesCall, ThousandsOfAllowedToolsAreLookedUpOnceEach) {
  std::string tools, allowed;
  for (int i = 0; i < 40'000; ++i) {
    const std::string name = R"("type":"function","name":"f)" + std::to_string(i) + "\"";
    tools += (i == 0 ? "{" : ",{") + name + R"(,"parameters":{}})";
    allowed += (i == 0 ? "{" : ",{") + name + "}";
  }
  const std::string body =
      chat_of(R"({"model":"m","input":"x","tools":[)" + tools +
              R"(],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[)" + allowed + "]}}")
          .body;
  EXPECT_NE(body.find(R"("name":"f39999")"), std::string::npos);
}

TEST(ResponsesCall, WhatWouldHaveToBeStoredIsRefusedInWords) {
  EXPECT_NE(chat_members(R"("previous_response_id":"resp_1")").find("previous_response_id"), std::string::npos);
  EXPECT_NE(chat_members(R"("conversation":{"id":"c"})").find("conversation"), std::string::npos);
  EXPECT_NE(chat_members(R"("prompt":{"id":"p"})").find("'prompt' names a stored prompt"), std::string::npos);
  EXPECT_NE(chat_members(R"("background":true)").find("background"), std::string::npos);
  EXPECT_NE(chat_messages(R"([{"type":"item_reference","id":"msg_1"}])").find("item_reference"), std::string::npos);
  EXPECT_NE(chat_of(R"({"model":"m"})").body.find("no 'input'"), std::string::npos);
  EXPECT_NE(chat_messages("5").find("'input' must be"), std::string::npos);
}

TEST(ResponsesCall, WhatAChatCannotSayIsRefusedInWords) {
  EXPECT_NE(
      chat_messages(R"([{"type":"computer_call_output","call_id":"c","output":{}}])").find("of a type that cannot"),
      std::string::npos);
  EXPECT_NE(user_content(R"([{"type":"input_video"}])").find("content of a type"), std::string::npos);
  EXPECT_NE(user_content(R"([{"type":"input_file","file_url":"https://x"}])").find("'file_data'"), std::string::npos);
  EXPECT_NE(chat_messages(R"([{"role":"critic","content":"x"}])").find("'role'"), std::string::npos);
  EXPECT_NE(
      chat_messages(R"([{"role":"system","content":[{"type":"input_image","image_url":"x"}]}])").find("text alone"),
      std::string::npos);
}

}  // namespace
}  // namespace sluice::translate
