// What the demo model answers: words, tools, formats, embeddings, and what it refuses.
#include "unit/demo/demo_fixture.h"

namespace sluice::demo {
namespace {

TEST_F(Demo, AnswersTheSameStreamedAndWhole) {
  start();
  const Client::Answer streamed = chat(R"(,"stream":true)");
  const Client::Answer whole = chat();
  EXPECT_TRUE(streamed.head.starts_with("HTTP/1.1 200"));
  EXPECT_NE(streamed.head.find("text/event-stream"), std::string::npos);
  const auto stream = events(streamed.body);
  EXPECT_EQ(stream.size(), 24u + 3);  // the role, the tokens, the finish, [DONE]
  EXPECT_EQ(stream.back(), "data: [DONE]");
  simdjson::dom::parser parser;
  const auto answer = json(parser, whole.body);
  EXPECT_EQ(text_of(stream), std::string_view(answer["choices"].at(0)["message"]["content"]));
  EXPECT_EQ(std::uint64_t(answer["usage"]["completion_tokens"]), 24u);
  EXPECT_EQ(std::string_view(answer["choices"].at(0)["finish_reason"]), "stop");
}

TEST_F(Demo, HonoursCapsUnlessTold) {
  start();
  EXPECT_NE(chat(R"(,"max_tokens":3)")
                .body.find(R"("finish_reason":"length"}],"usage":{"prompt_tokens":8,"completion_tokens":3,)"),
            std::string::npos);
  DemoOptions options;
  options.ignore_caps = true;
  start(options);
  EXPECT_NE(chat(R"(,"max_completion_tokens":3)").body.find(R"("completion_tokens":24,)"), std::string::npos);
}

TEST_F(Demo, SendsOneUsageChunkWhereItIsAskedFor) {
  start();
  const auto plain = events(chat(R"(,"stream":true)").body);
  EXPECT_EQ(plain[plain.size() - 2].find("usage"), std::string::npos);
  const auto stream = events(chat(R"(,"stream":true,"stream_options":{"include_usage":true})").body);
  EXPECT_NE(stream[0].find("\"usage\":null"), std::string::npos);
  EXPECT_NE(stream[stream.size() - 2].find(
                R"("choices":[],"usage":{"prompt_tokens":8,"completion_tokens":24,"total_tokens":32}})"),
            std::string::npos);
}

TEST_F(Demo, StreamsManyChoicesAndCompletions) {
  start();
  const auto stream = events(chat(R"(,"stream":true,"n":2)").body);
  EXPECT_NE(text_of(stream, 0), text_of(stream, 1));
  const auto completion =
      events(ask("/v1/completions", R"({"model":"demo-model","prompt":["a","b"],"stream":true,"max_tokens":2})").body);
  EXPECT_EQ(completion.size(), 2u * 3 + 1);
  EXPECT_NE(completion[0].find("\"object\":\"text_completion\""), std::string::npos);
}

TEST_F(Demo, CallsAToolWhereItMust) {
  start();
  const std::string tools =
      R"(,"tools":[{"type":"function","function":{"name":"look_up","parameters":{}}}],"tool_choice":"required")";
  const Client::Answer streamed = chat(tools + R"(,"stream":true)");
  EXPECT_NE(streamed.body.find(R"("name":"look_up","arguments":"")"), std::string::npos);
  EXPECT_NE(streamed.body.find(R"("finish_reason":"tool_calls")"), std::string::npos);
  simdjson::dom::parser parser;
  EXPECT_TRUE(json(parser, text_of(events(streamed.body))).is_object());
  simdjson::dom::parser whole;
  const auto call = json(whole, chat(tools).body)["choices"].at(0)["message"]["tool_calls"].at(0)["function"];
  EXPECT_EQ(std::string_view(call["arguments"]), text_of(events(streamed.body)));
}

constexpr const char* kWeather =
    R"("tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":)"
    R"({"type":"string"},"days":{"type":"integer","minimum":2},"unit":{"enum":["C","F"]},"at":{"$ref":"#/$defs/at"}},"$defs":)"
    R"({"at":{"type":"array","items":{"type":["null","number"]}}}}}}])";

std::string chat_of(const std::string& question, const std::string& more) {
  return R"({"model":"demo-model","messages":[)" + question + "]," + more + "}";
}

TEST_F(Demo, CallsAToolThatIsAskedForWithArgumentsThatFitItsSchema) {
  start();
  simdjson::dom::parser parser, arguments;
  const std::string asked = chat_of(R"({"role":"user","content":"Get weather of Bern"})", kWeather);
  const auto call =
      json(parser, ask("/v1/chat/completions", asked).body)["choices"].at(0)["message"]["tool_calls"].at(0);
  const auto given = json(arguments, std::string(std::string_view(call["function"]["arguments"])));
  EXPECT_TRUE(given["city"].is_string());
  EXPECT_EQ(std::int64_t(given["days"]), 2);
  EXPECT_EQ(std::string_view(given["unit"]), "C");
  EXPECT_TRUE(given["at"].at(0).is_null());
}

TEST_F(Demo, AnswersInWordsWhereNoToolIsAskedForOrOneHasAnswered) {
  start();
  for (const char* question :
       {R"({"role":"user","content":"Hello"})",
        R"({"role":"user","content":"Get weather"},{"role":"tool","tool_call_id":"c","content":"sun"})"}) {
    const std::string body = ask("/v1/chat/completions", chat_of(question, kWeather)).body;
    EXPECT_EQ(body.find("tool_calls"), std::string::npos) << body;
  }
  const std::string none = std::string(kWeather) + R"(,"tool_choice":"none")";
  const std::string body =
      ask("/v1/chat/completions", chat_of(R"({"role":"user","content":"get_weather"})", none)).body;
  EXPECT_EQ(body.find("tool_calls"), std::string::npos) << body;
}

TEST_F(Demo, CallsTheToolThatIsNamed) {
  start();
  const std::string two =
      R"("tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}],"tool_choice":)"
      R"({"type":"function","function":{"name":"b"}})";
  const std::string body = ask("/v1/chat/completions", chat_of(R"({"role":"user","content":"x"})", two)).body;
  EXPECT_NE(body.find(R"("name":"b")"), std::string::npos) << body;
}

TEST_F(Demo, SaysJsonWhereAFormatAsksForIt) {
  start();
  for (
      const char* format :
      {R"("response_format":{"type":"json_object"})",
       R"("response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"properties":{"answer":{}}}}})"}) {
    simdjson::dom::parser parser;
    const auto stream = events(ask("/v1/chat/completions", chat_of(R"({"role":"user","content":"x"})",
                                                                   std::string(format) + R"(,"stream":true)"))
                                   .body);
    EXPECT_TRUE(json(parser, text_of(stream))["answer"].is_string()) << format;
  }
}

TEST_F(Demo, CallsAToolInResponses) {
  start();
  const std::string body =
      R"({"model":"demo-model","input":"use the tool","tools":[{"type":"function","name":"f","parameters":{"properties":{"x":{}}}}])";
  simdjson::dom::parser parser;
  const auto item = json(parser, ask("/v1/responses", body + "}").body)["output"].at(0);
  EXPECT_EQ(std::string_view(item["type"]), "function_call");
  const auto stream = events(ask("/v1/responses", body + R"(,"stream":true})").body);
  EXPECT_NE(stream[2].find("\"function_call\""), std::string::npos) << stream[2];
  EXPECT_NE(stream[3].find("response.function_call_arguments.delta"), std::string::npos) << stream[3];
}

TEST_F(Demo, StreamsResponsesWithRisingNumbers) {
  start();
  const auto stream = events(ask("/v1/responses", R"({"model":"demo-model","input":"hi","stream":true})").body);
  simdjson::dom::parser parser;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    const std::size_t line = stream[i].find('\n');
    const auto data = json(parser, stream[i].substr(line + 7));
    EXPECT_EQ(std::uint64_t(data["sequence_number"]), i);
    EXPECT_EQ("event: " + std::string(std::string_view(data["type"])), stream[i].substr(0, line));
  }
  EXPECT_TRUE(stream.front().starts_with("event: response.created\n"));
  EXPECT_TRUE(stream.back().starts_with("event: response.completed\n"));
  EXPECT_NE(stream.back().find("\"output_tokens\":24"), std::string::npos);
  const Client::Answer whole = ask("/v1/responses", R"({"model":"demo-model","input":"hi","max_output_tokens":2})");
  EXPECT_NE(whole.body.find(R"("status":"incomplete","incomplete_details":{"reason":"max_output_tokens"})"),
            std::string::npos);
}

TEST_F(Demo, EmbedsAsNumbersAndAsBase64) {
  start();
  simdjson::dom::parser parser;
  const auto floats =
      json(parser, ask("/v1/embeddings", R"({"model":"demo-model","input":["a","b"],"dimensions":4})").body);
  EXPECT_EQ(floats["data"].get_array().size(), 2u);
  EXPECT_EQ(floats["data"].at(1)["embedding"].get_array().size(), 4u);
  simdjson::dom::parser other;
  const auto coded = json(
      other,
      ask("/v1/embeddings", R"({"model":"demo-model","input":"a","dimensions":3,"encoding_format":"base64"})").body);
  EXPECT_EQ(std::string_view(coded["data"].at(0)["embedding"]).size(), 16u);
}

TEST_F(Demo, ListsItsModels) {
  DemoOptions options;
  options.models = {"a", "org/b"};
  options.list_faults = true;
  start(options);
  const std::string list = ask("/v1/models", "").body;
  EXPECT_NE(list.find(R"("id":"a")"), std::string::npos);
  EXPECT_NE(list.find(R"("id":"a:fault=no-done")"), std::string::npos);
  EXPECT_NE(ask("/v1/models/org%2Fb", "").body.find(R"("id":"org/b")"), std::string::npos);
  EXPECT_TRUE(ask("/v1/models/c", "").head.starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(chat().head.starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(ask("/health", "").head.starts_with("HTTP/1.1 200"));
}

TEST_F(Demo, RefusesWhatAModelServerWould) {
  start();
  EXPECT_TRUE(ask("/v1/chat/completions", "{").head.starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(ask("/v1/chat/completions", R"({"model":"demo-model"})").head.starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(ask("/v1/chat/completions", "").head.starts_with("HTTP/1.1 405"));
  EXPECT_TRUE(ask("/slots", "").head.starts_with("HTTP/1.1 404"));
}

}  // namespace
}  // namespace sluice::demo
