#include "anthropic/call_reader.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include "anthropic/stored_state.h"

namespace sluice::anthropic {
namespace {

Buffer padded(std::string_view text) {
  Buffer body;
  body.append(text);
  (void)body.prepare(simdjson::SIMDJSON_PADDING);
  return body;
}

Result<dialect::CallBody> read(std::string_view text, Api api = Api::kMessages) {
  const Buffer body = padded(text);
  wire::Parser parser;
  return read_call(endpoint_of(api), body.view(), parser);
}

std::string edited(std::string_view text, const dialect::Edits& edits) {
  const Buffer body = padded(text);
  wire::Parser parser;
  const Result<dialect::CallBody> call = read_call(endpoint_of(Api::kMessages), body.view(), parser);
  EXPECT_TRUE(call) << text;
  dialect::EditedBody into;
  edit_body(*call, body.view(), edits, into);
  std::string whole;
  for (std::size_t i = 0; i < into.count; ++i) whole += into.parts[i];
  return whole;
}

TEST(CallReader, ReadsWhatACallAsksFor) {
  const Result<dialect::CallBody> call = read(
      R"( {"model":"cl\u0061ude","max_tokens":1.0e2,"stream":true,"system":[{"type":"text","text":"12345678"}],"messages":[{"role":"user","content":[{"type":"text","text":"1234"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAAAAAAAAAAAAAA"}}]}],"metadata":{"container":"mine"}} )");
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->model, "claude");
  EXPECT_EQ(call->output_cap, 100u);
  EXPECT_TRUE(call->stream);
  EXPECT_EQ(call->choices, 1u);
  EXPECT_EQ(call->prompt_estimate, 3u);
}

TEST(CallReader, ToolsCountAsTheyStand) {
  const std::string tools =
      R"([{"name":"f","description":"d","input_schema":{"type":"object","properties":{"file_id":{"type":"string"}}}}])";
  const Result<dialect::CallBody> call = read(R"({"model":"m","max_tokens":1,"messages":[],"tools":)" + tools + "}");
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_NEAR(static_cast<double>(call->prompt_estimate), static_cast<double>(tools.size()) / 4, 2);
}

TEST(CallReader, ACapOfNothingIsACap) {
  const Result<dialect::CallBody> call = read(R"({"model":"m","max_tokens":0,"messages":[]})");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->output_cap, 0u);
  EXPECT_EQ(edited(R"({"model":"m","max_tokens":0})", {.clamp_output_to = 9}), R"({"model":"m","max_tokens":0})");
}

TEST(CallReader, ACountNeedsNoCapAndReadsNone) {
  const Result<dialect::CallBody> call = read(R"({"model":"m","messages":[],"stream":1})", Api::kCountTokens);
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_FALSE(call->output_cap);
  EXPECT_FALSE(call->stream);
}

TEST(CallReader, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "empty"},
      {"[]", "JSON"},
      {R"({"model":"m","max_tokens":1}{})", "Bytes follow"},
      {R"({"model":"m","max_tokens":1)", "ends before"},
      {R"({"max_tokens":1})", "no 'model'"},
      {R"({"model":"m"})", "no 'max_tokens'"},
      {R"({"model":"","max_tokens":1})", "'model' must be"},
      {R"({"model":"m","max_tokens":null})", "whole number"},
      {R"({"model":"m","max_tokens":-1})", "whole number"},
      {R"({"model":"m","max_tokens":1.5})", "whole number"},
      {R"({"model":"m","max_tokens":"1"})", "whole number"},
      {R"({"model":"m","max_tokens":1e300})", "2^53"},
      {R"({"model":"m","max_tokens":1,"max_tok\u0065ns":9})", "occurs twice"},
      {R"({"model":"m","Max_Tokens":9})", "case-sensitive"},
      {R"({"model":"m","max_tokens":1,"stream":"yes"})", "'stream' must be"},
      {R"({"model":"m","max_tokens":1,"messages":{}})", "'messages' must be"},
  };
  for (const auto& [body, says] : cases) {
    const Result<dialect::CallBody> call = read(body);
    ASSERT_FALSE(call) << body;
    EXPECT_NE(std::string_view(call.error().what).find(says), std::string_view::npos)
        << body << ": " << call.error().what;
  }
}

TEST(CallReader, C17EditsAreSplices) {
  const char* body = R"( {"x":1.50,  "model" : "m" ,"max_tokens": 5e2 ,"messages":[]} )";
  EXPECT_EQ(edited(body, {}), body);
  EXPECT_EQ(edited(body, {.clamp_output_to = 500}), body);
  EXPECT_EQ(edited(body, {.clamp_output_to = 7, .model = "org/\"n\""}),
            R"( {"x":1.50,  "model" : "org/\"n\"" ,"max_tokens": 7 ,"messages":[]} )");
}

TEST(CallReader, ABudgetOfThinkingStaysBelowACapThatWasClamped) {
  const char* body = R"({"thinking":{"type":"enabled","budget_tokens":10000 },"model":"m","max_tokens":16000})";
  EXPECT_EQ(edited(body, {.clamp_output_to = 12000}),
            R"({"thinking":{"type":"enabled","budget_tokens":10000 },"model":"m","max_tokens":12000})");
  EXPECT_EQ(edited(body, {.clamp_output_to = 8000}),
            R"({"thinking":{"type":"enabled","budget_tokens":7999 },"model":"m","max_tokens":8000})");
  EXPECT_EQ(edited(body, {.clamp_output_to = 900}),
            R"({"thinking":{"type":"enabled","budget_tokens":10000 },"model":"m","max_tokens":900})");
  // However it is spelt; what is no number is the server's to refuse.
  for (const char* number : {"8000", "1e4", "9999.0", "1.0E+4"}) {
    const std::string spelt =
        std::string(R"({"thinking":{"budget_tokens":)") + number + R"(},"model":"m","max_tokens":16000})";
    EXPECT_EQ(edited(spelt.c_str(), {.clamp_output_to = 8'000}),
              R"({"thinking":{"budget_tokens":7999},"model":"m","max_tokens":8000})");
  }
  for (const char* other : {"7e3", "7999.0", "-1e4", "\"10000\"", "null", "1e999"}) {
    const std::string spelt =
        std::string(R"({"thinking":{"budget_tokens":)") + other + R"(},"model":"m","max_tokens":16000})";
    const std::string kept =
        std::string(R"({"thinking":{"budget_tokens":)") + other + R"(},"model":"m","max_tokens":8000})";
    EXPECT_EQ(edited(spelt.c_str(), {.clamp_output_to = 8'000}), kept);
  }
  EXPECT_EQ(edited(body, {}), body);
}

// A call in which `row` stands where the model server reads it.
std::string naming(const StateRow& row, std::string_view value) {
  const std::string member = '"' + std::string(row.name) + "\":" + std::string(value);
  const std::string head = R"({"model":"m","max_tokens":1,)";
  switch (row.spot) {
    case Spot::kTop:
      return head + member + "}";
    case Spot::kParts:
      return head + R"("messages":[{"role":"user","content":[{"type":"document","source":{)" + member + "}}]}]}";
    case Spot::kTools:
      return head + R"("tools":[{"type":"x",)" + member + "}]}";
    case Spot::kDiagnostics:
      return head + R"("diagnostics":{)" + member + "}}";
    case Spot::kNowhere:
      break;
  }
  return {};
}

TEST(StoredState, C50EveryRowOfTheTableIsRefusedByItsNameAndNothingIsRefusedForNull) {
  for (const StateRow& row : stored_state()) {
    for (const Api api : {Api::kMessages, Api::kCountTokens}) {
      const Result<dialect::CallBody> call = read(naming(row, "\"id_1\""), api);
      ASSERT_FALSE(call) << row.name;
      EXPECT_NE(std::string_view(call.error().what).find(row.name), std::string_view::npos) << call.error().what;
      EXPECT_TRUE(read(naming(row, "null"), api)) << row.name;
    }
  }
}

TEST(StoredState, C50IsFoundInEverySpellingAndAtEveryDepth) {
  for (
      const char* members :
      {R"("c\u006fntainer":"c")", R"("Container":{"id":"c"})", R"("container":{"skills":[{"skill_id":"s"}]})",
       R"("thread":{"type":"continue","previous_message_id":"msg_1"})", R"("fallbacks":"default")",
       R"("messages":[{"content":[{"type":"tool_result","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}]}])",
       R"("messages":[{"content":[{"type":"container_upload","file_id":"f"}]}])",
       R"("messages":[{"content":[{"type":"tool_addition","tool":{"definition":{"type":"advisor","model":"x"}}}]}])",
       R"("system":[{"type":"text","source":{"file\u005fid":"f"}}])"}) {
    EXPECT_FALSE(read(R"({"model":"m","max_tokens":1,)" + std::string(members) + "}")) << members;
  }
}

TEST(StoredState, TheCallersOwnNamesMeanNothing) {
  for (const char* members :
       {R"("messages":[{"content":[{"type":"tool_use","input":{"file_id":"mine","container":"mine"}}]}])",
        R"("tools":[{"input_schema":{"properties":{"model":{"type":"string"},"file_id":{}}}}])",
        R"("metadata":{"user_id":"u","thread":"x"})", R"("messages":[{"content":[{"model":"not a tool"}]}])",
        R"("mcp_servers":[{"type":"url","url":"https://x","name":"n","authorization_token":"t"}])",
        R"("diagnostics":{"previous_message_id":null})"}) {
    const Result<dialect::CallBody> call = read(R"({"model":"m","max_tokens":1,)" + std::string(members) + "}");
    EXPECT_TRUE(call) << members << call.error().what;
  }
}

}  // namespace
}  // namespace sluice::anthropic
