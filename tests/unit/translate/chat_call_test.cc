// Calls of /v1/messages and what a server of chat completions is sent for them, field by field.
#include "translate/chat_call.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>

#include "anthropic/anthropic.h"
#include "openai/openai.h"
#include "translate/messages_to_chat.h"

namespace sluice::translate {
namespace {

// The body in the place's dialect, or what is said of it; both dialects have to read theirs.
std::string chat_call_of(const std::string& text) {
  const anthropic::Anthropic from;
  const openai::OpenAi to;
  wire::Parser parser;
  Buffer body, out;
  (void)body.prepare(text.size() + simdjson::SIMDJSON_PADDING);
  body.append(text);
  const auto read = from.read_call(from.endpoints()[0], body.view(), parser);
  if (!read) return std::string("unread: ") + read.error().what;
  const Status made = MessagesToChat().append_call(out, body.view());
  if (!made) return std::string("refused: ") + made.error().what;
  std::string written(out.view());
  (void)out.prepare(simdjson::SIMDJSON_PADDING);
  const auto again = to.read_call(to.endpoints()[0], out.view(), parser);
  EXPECT_TRUE(again) << (again ? "" : again.error().what) << "\n" << written;
  if (again) {
    EXPECT_EQ(again->model, read->model);
    EXPECT_EQ(again->stream, read->stream);
    EXPECT_EQ(again->cap_count, 0u) << "the exchange puts the cap in";
  }
  return written;
}

struct CallCase {
  const char* name;
  const char* members;  // behind "model" and "max_tokens"
  const char* chat;     // behind "model"
};

std::ostream& operator<<(std::ostream& out, const CallCase& one) { return out << one.name; }

struct ChatCallPairs : testing::TestWithParam<CallCase> {};

TEST_P(ChatCallPairs, SayTheSame) {
  EXPECT_EQ(chat_call_of(std::string(R"({"model":"m","max_tokens":9,)") + GetParam().members + "}"),
            std::string(R"({"model":"m",)") + GetParam().chat + "}");
}

#define MESSAGES_OF_U R"("messages":[{"role":"user","content":"u"}])"

INSTANTIATE_TEST_SUITE_P(
    All, ChatCallPairs,
    testing::Values(
        CallCase{"text", R"("messages":[{"role":"user","content":"a \"b\" \u00e9\n"}])",
                 R"("messages":[{"role":"user","content":"a \"b\" \u00e9\n"}])"},
        CallCase{"system", R"("system":"S","messages":[{"content":"u","role":"user"}])",
                 R"("messages":[{"role":"system","content":"S"},{"role":"user","content":"u"}])"},
        CallCase{"system_blocks",
                 R"("system":[{"type":"text","text":"x-anthropic-billing-header: cch=1;"},{"type":"text","text":"A",)"
                 R"("cache_control":{"type":"ephemeral"}},{"type":"text","text":"B"}],)" MESSAGES_OF_U,
                 R"("messages":[{"role":"system","content":"A\n\nB"},{"role":"user","content":"u"}])"},
        CallCase{"only_a_billing_note",
                 R"("system":[{"type":"text","text":"x-anthropic-billing-header: cch=1;"}],)" MESSAGES_OF_U,
                 MESSAGES_OF_U},
        CallCase{"blocks_of_text",
                 R"("messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])",
                 R"("messages":[{"role":"user","content":"a\n\nb"}])"},
        CallCase{
            "images",
            R"("messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":)"
            R"("base64","media_type":"image/png","data":"iVBO+/="}},{"type":"image","source":{"type":"url","url":)"
            R"("https://h/i.png"}}]}])",
            R"("messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":)"
            R"({"url":"data:image/png;base64,iVBO+/="}},{"type":"image_url","image_url":{"url":"https://h/i.png"}}]}])"},
        CallCase{
            "a_document_of_text",
            R"("messages":[{"role":"user","content":[{"type":"document","title":"T","source":{"type":"text",)"
            R"("media_type":"text/plain","data":"D"}},{"type":"text","text":"a"}]}])",
            R"("messages":[{"role":"user","content":[{"type":"text","text":"T\n\nD"},{"type":"text","text":"a"}]}])"},
        CallCase{
            "a_document_of_pages",
            R"("messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":)"
            R"("application/pdf","data":"JVBE"}}]}])",
            R"("messages":[{"role":"user","content":[{"type":"file","file":{"filename":"document.pdf","file_data":)"
            R"("data:application/pdf;base64,JVBE"}}]}])"},
        CallCase{"a_search_result",
                 R"("messages":[{"role":"user","content":[{"type":"search_result","source":"https://h","title":"T",)"
                 R"("content":[{"type":"text","text":"x"}]}]}])",
                 R"("messages":[{"role":"user","content":"T\n\nhttps://h\n\nx"}])"},
        CallCase{
            "a_tool_loop",
            R"("messages":[{"role":"assistant","content":[{"type":"text","text":"Looking."},{"type":"tool_use",)"
            R"("id":"t1","name":"f","input":{ "a": "\u00e9\"", "n":1.50 }},{"type":"tool_use","id":"t2","name":"g",)"
            R"("input":{}}]},{"role":"user","content":[{"type":"text","text":"and?"},{"type":"tool_result",)"
            R"("tool_use_id":"t1","content":"r1"},{"type":"tool_result","tool_use_id":"t2","content":[{"type":)"
            R"("text","text":"r2"},{"type":"text","text":"r3"}]}]}])",
            R"("messages":[{"role":"assistant","content":"Looking.","tool_calls":[{"id":"t1","type":"function",)"
            R"("function":{"name":"f","arguments":"{ \"a\": \"\\u00e9\\\"\", \"n\":1.50 }"}},{"id":"t2","type":)"
            R"("function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"t1",)"
            R"("content":"r1"},{"role":"tool","tool_call_id":"t2","content":"r2\n\nr3"},{"role":"user","content":)"
            R"("and?"}])"},
        CallCase{"results_alone",
                 R"("messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"r"}]}])",
                 R"("messages":[{"role":"tool","tool_call_id":"t","content":"r"}])"},
        CallCase{"errors_of_tools",
                 R"("messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","is_error":true,)"
                 R"("content":"no such file"},{"type":"tool_result","tool_use_id":"u","is_error":true,"content":)"
                 R"("Error: x"},{"type":"tool_result","tool_use_id":"v","is_error":true}]}])",
                 R"("messages":[{"role":"tool","tool_call_id":"t","content":"Error: no such file"},{"role":"tool",)"
                 R"("tool_call_id":"u","content":"Error: x"},{"role":"tool","tool_call_id":"v","content":"Error"}])"},
        CallCase{
            "images_of_tools",
            R"("messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":)"
            R"("text","text":"r"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iV"}}]},)"
            R"({"type":"text","text":"see?"}]}])",
            R"("messages":[{"role":"tool","tool_call_id":"t","content":"r\n\nWhat this tool returned is at the )"
            R"(beginning of the next message."},{"role":"user","content":[{"type":"image_url","image_url":{"url":)"
            R"("data:image/png;base64,iV"}},{"type":"text","text":"see?"}]}])"},
        CallCase{"thinking_of_the_same_server",
                 R"("messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":)"
                 R"("sluice:reasoning_content"},{"type":"text","text":"a"}]}])",
                 R"("messages":[{"role":"assistant","content":"a","reasoning_content":"hm"}])"},
        CallCase{"thinking_of_another",
                 R"("messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"EqQB"},)"
                 R"({"type":"redacted_thinking","data":"x"},{"type":"text","text":"a"}]}])",
                 R"("messages":[{"role":"assistant","content":"a"}])"},
        CallCase{
            "what_a_server_did_itself",
            R"("messages":[{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search",)"
            R"("input":{}},{"type":"web_search_tool_result","tool_use_id":"s","content":[]},{"type":"text","text":)"
            R"("It "},{"type":"text","text":"is."}]}])",
            R"("messages":[{"role":"assistant","content":"It is."}])"},
        CallCase{
            "tools",
            R"("tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"a":{}}},)"
            R"("cache_control":{"type":"ephemeral"}},{"type":"custom","name":"g","input_schema":{"type":"object"},)"
            R"("strict":true}],)" MESSAGES_OF_U,
            MESSAGES_OF_U R"(,"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":)"
                          R"({"type":"object","properties":{"a":{}}}}},{"type":"function","function":{"name":"g",)"
                          R"("parameters":{"type":"object"},"strict":true}}])"},
        CallCase{"no_tools", R"("tools":[ ],"tool_choice":{"type":"auto"},)" MESSAGES_OF_U, MESSAGES_OF_U},
        CallCase{
            "any_tool_alone",
            R"("tool_choice":{"type":"any","disable_parallel_tool_use":true},"tools":[{"name":"f","input_schema":{}}],)" MESSAGES_OF_U,
            MESSAGES_OF_U R"(,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":)"
                          R"("required","parallel_tool_calls":false)"},
        CallCase{"one_tool",
                 R"("tool_choice":{"type":"tool","name":"f"},"tools":[{"name":"f","input_schema":{}}],)" MESSAGES_OF_U,
                 MESSAGES_OF_U
                 R"(,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":)"
                 R"({"type":"function","function":{"name":"f"}})"},
        CallCase{"no_tool", R"("tool_choice":{"type":"none"},"tools":[{"name":"f","input_schema":{}}],)" MESSAGES_OF_U,
                 MESSAGES_OF_U
                 R"(,"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":)"
                 R"("none")"},
        CallCase{
            "structured_output",
            R"("output_config":{"effort":"high","format":{"type":"json_schema","schema":{"type":"object"}}},)" MESSAGES_OF_U,
            MESSAGES_OF_U R"(,"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,)"
                          R"("schema":{"type":"object"}}})"},
        CallCase{
            "hints_and_marks",
            R"("metadata":{"user_id":"u"},"service_tier":"auto","thinking":{"type":"enabled","budget_tokens":2000},)"
            R"("context_management":{"edits":[]},"top_k":5,"mcp_servers":[],"temperature":null,)" MESSAGES_OF_U,
            MESSAGES_OF_U}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ChatCall, WhatBothHaveGoesAsItStands) {
  EXPECT_EQ(
      chat_call_of(
          R"({"model":"m","max_tokens":9,"stream":true,"temperature":0.70,"top_p":1,"stop_sequences":["a","\n"],)" MESSAGES_OF_U
          "}"),
      R"({"stream":true,"temperature":0.70,"top_p":1,"stop":["a","\n"],"model":"m",)" MESSAGES_OF_U "}");
}

TEST(ChatCall, NamesAreKnownInAnySpelling) {
  EXPECT_EQ(
      chat_call_of(R"({"mod\u0065l":"m","max_tokens":9,"me\u0073sages":[{"r\u006fle":"us\u0065r","content":"u"}]})"),
      R"({"model":"m",)" MESSAGES_OF_U "}");
}

struct RefusedCall {
  const char* name;
  const char* members;
  const char* says;
};
std::ostream& operator<<(std::ostream& out, const RefusedCall& one) { return out << one.name; }
struct ChatCallRefuses : testing::TestWithParam<RefusedCall> {};

TEST_P(ChatCallRefuses, AndSaysWhy) {
  const std::string said = chat_call_of(std::string(R"({"model":"m",)") + GetParam().members + "}");
  EXPECT_TRUE(said.starts_with("refused: ")) << said;
  EXPECT_NE(said.find(GetParam().says), std::string::npos) << said;
}

INSTANTIATE_TEST_SUITE_P(
    All, ChatCallRefuses,
    testing::Values(
        RefusedCall{"a_server_tool",
                    R"("max_tokens":9,"tools":[{"type":"web_search_20250305","name":"web_search"}],)" MESSAGES_OF_U,
                    "web search"},
        RefusedCall{"mcp_servers", R"("max_tokens":9,"mcp_servers":[{"type":"url"}],)" MESSAGES_OF_U, "mcp_servers"},
        RefusedCall{"nothing_generated", R"("max_tokens":0.0,)" MESSAGES_OF_U, "'max_tokens': 0"},
        RefusedCall{"a_role", R"("max_tokens":9,"messages":[{"role":"tool","content":"x"}])", "'role'"},
        RefusedCall{"a_block", R"("max_tokens":9,"messages":[{"role":"user","content":[{"type":"hologram"}]}])",
                    "content block"},
        RefusedCall{"a_documents_address",
                    R"("max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":)"
                    R"({"type":"url","url":"https://h/d.pdf"}}]}])",
                    "document"},
        RefusedCall{"no_content", R"("max_tokens":9,"messages":[{"role":"user","content":1}])", "'content'"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sluice::translate
