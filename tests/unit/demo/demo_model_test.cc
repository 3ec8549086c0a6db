#include "demo/demo_model.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "demo/faults.h"
#include "demo/words.h"

namespace sluice::demo {
namespace {

namespace asio = boost::asio;

// A client that sends one request and reads to the end of the connection.
class Client final {
 public:
  explicit Client(const net::Endpoint& endpoint) : socket_(io_) { socket_.connect(endpoint); }

  void send(std::string_view method, std::string_view path, std::string_view body, std::string_view headers = {}) {
    const std::string request = std::string(method) + " " + std::string(path) +
                                " HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n" + std::string(headers) +
                                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
    asio::write(socket_, asio::buffer(request));
  }

  struct Answer {
    std::string head;
    std::string body;  // chunk frames removed
    boost::system::error_code end;
  };
  Answer read() {
    std::string all;
    Answer answer;
    asio::read(socket_, asio::dynamic_buffer(all), answer.end);
    const std::size_t split = std::min(all.find("\r\n\r\n"), all.size());
    answer.head = all.substr(0, split);
    answer.body = all.size() > split + 4 ? all.substr(split + 4) : "";
    if (answer.head.find("transfer-encoding: chunked") != std::string::npos) answer.body = unchunked(answer.body);
    return answer;
  }
  void wait_for_bytes() {
    char byte;
    asio::read(socket_, asio::buffer(&byte, 1));
  }
  void close() { socket_.close(); }

 private:
  static std::string unchunked(std::string_view text) {
    std::string out;
    while (!text.empty()) {
      const std::size_t line = text.find("\r\n");
      if (line == std::string_view::npos) break;
      const std::size_t size = std::stoul(std::string(text.substr(0, line)), nullptr, 16);
      if (size == 0) break;
      out += text.substr(line + 2, size);
      text.remove_prefix(std::min(text.size(), line + 2 + size + 2));
    }
    return out;
  }

  asio::io_context io_;
  asio::ip::tcp::socket socket_;
};

class Demo : public testing::Test {
 protected:
  void start(DemoOptions options = {}) {
    if (options.pace == DemoOptions().pace) options.pace = std::chrono::microseconds(0);
    auto started = DemoModel::start(std::move(options));
    ASSERT_TRUE(started.ok()) << started.status();
    model_ = std::move(*started);
  }
  Client::Answer ask(std::string_view path, std::string_view body, std::string_view headers = {}) {
    Client client(model_->endpoint());
    client.send(body.empty() ? "GET" : "POST", path, body, headers);
    return client.read();
  }
  Client::Answer chat(std::string_view more = {}, std::string_view headers = {}) {
    return ask("/v1/chat/completions",
               R"({"model":"demo-model","messages":[{"role":"user","content":"hi"}])" + std::string(more) + "}",
               headers);
  }
  static std::string fault(std::string_view name) { return "X-Demo-Fault: " + std::string(name) + "\r\n"; }

  // The stats once `member` is `value`.
  std::string stats_when(std::string_view member, std::uint64_t value) {
    const std::string wanted = "\"" + std::string(member) + "\":" + std::to_string(value) + ",";
    for (;;) {
      std::string stats = model_->stats();
      if (stats.find(wanted) != std::string::npos) return stats;
      std::this_thread::yield();
    }
  }

  std::unique_ptr<DemoModel> model_;
};

std::vector<std::string> events(std::string_view body) {
  std::vector<std::string> all;
  for (std::size_t end = 0; (end = body.find("\n\n")) != std::string_view::npos; body.remove_prefix(end + 2))
    all.emplace_back(body.substr(0, end));
  return all;
}

// The text of the deltas of a chat stream.
std::string text_of(const std::vector<std::string>& stream, std::uint64_t choice = 0) {
  simdjson::dom::parser parser;
  std::string text;
  for (const std::string& event : stream) {
    simdjson::dom::element chunk;
    if (parser.parse(event.substr(6)).get(chunk) != simdjson::SUCCESS) continue;
    std::string_view delta;
    std::uint64_t index = 0;
    if (chunk["choices"].at(0)["index"].get(index) != simdjson::SUCCESS || index != choice) continue;
    if (chunk["choices"].at(0)["delta"]["content"].get(delta) == simdjson::SUCCESS) text += delta;
    if (chunk["choices"].at(0)["text"].get(delta) == simdjson::SUCCESS) text += delta;
    if (chunk["choices"].at(0)["delta"]["tool_calls"].at(0)["function"]["arguments"].get(delta) == simdjson::SUCCESS)
      text += delta;
  }
  return text;
}

simdjson::dom::element json(simdjson::dom::parser& parser, const std::string& text) {
  simdjson::dom::element element;
  EXPECT_EQ(parser.parse(text).get(element), simdjson::SUCCESS) << text;
  return element;
}

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

TEST_F(Demo, MisbehavesAsTold) {
  start();
  struct Case {
    const char* faults;
    const char* head;      // begins with
    const char* contains;  // the body
    bool stream = true;
  };
  const Case cases[] = {
      {"flat-error", "HTTP/1.1 400", R"({"object":"error")"},
      {"string-error=503", "HTTP/1.1 503", R"({"error":"demo)"},
      {"html-error", "HTTP/1.1 502", "<html>"},
      {"empty-error", "HTTP/1.1 500", ""},
      {"integer-code", "HTTP/1.1 400", R"("code":400)"},
      {"status=418", "HTTP/1.1 418", R"({"error":{)"},
      {"ok-error", "HTTP/1.1 200", R"({"error":{)"},
      {"retry-after=9", "HTTP/1.1 429", "rate_limit_exceeded"},
      {"redirect", "HTTP/1.1 307", ""},
      {"context-overflow", "HTTP/1.1 400", "exceed_context_size_error"},
      {"context-overflow=vllm", "HTTP/1.1 400", "maximum context length"},
      {"error-null", "HTTP/1.1 200", R"("error":null)"},
      {"error-null", "HTTP/1.1 200", R"("error":null)", false},
      {"error-in-stream", "HTTP/1.1 200", "data: {\"error\":{"},
      {"error-in-stream=flat", "HTTP/1.1 200", "data: {\"object\":\"error\""},
      {"error-in-stream=choices-null", "HTTP/1.1 200", "data: {\"choices\":null"},
      {"pings", "HTTP/1.1 200", "\n\n:\n\ndata:"},
      {"ids", "HTTP/1.1 200", "retry: 3000\n\nid: 1\ndata:"},
      {"bom", "HTTP/1.1 200",
       "\xEF\xBB\xBF"
       "data: {"},
      {"crlf", "HTTP/1.1 200", "\r\n\r\ndata: [DONE]\r\n\r\n"},
      {"cr", "HTTP/1.1 200", "\r\rdata: [DONE]\r\r"},
      {"cumulative-usage", "HTTP/1.1 200", R"("usage":{"prompt_tokens":8,"completion_tokens":2,)"},
      {"usage-on-last-chunk", "HTTP/1.1 200", R"("finish_reason":"stop"}],"usage":{"prompt_tokens":8)"},
      {"unasked-usage", "HTTP/1.1 200", R"("choices":[],"usage":{)"},
      {"unasked-usage,zero-usage", "HTTP/1.1 200",
       R"("usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})"},
      {"not-json", "HTTP/1.1 200", "data: <html>"},
      {"empty-finish", "HTTP/1.1 200", R"("finish_reason":"")"},
      {"gzip", "HTTP/1.1 200", "\x1F\x8B\x08"},
      {"gzip", "HTTP/1.1 200", "\x1F\x8B\x08", false},
      {"slow-head=0.01", "HTTP/1.1 200", "[DONE]"},
      {"silence=0.01", "HTTP/1.1 200", "[DONE]"},
      {"tokens=2,pace=0.1", "HTTP/1.1 200", "[DONE]"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.faults);
    const Client::Answer answer = chat(c.stream ? R"(,"stream":true)" : "", fault(c.faults));
    EXPECT_TRUE(answer.head.starts_with(c.head)) << answer.head;
    EXPECT_NE(answer.body.find(c.contains), std::string::npos) << answer.body;
  }
}

TEST_F(Demo, EndsStreamsWrongAsTold) {
  start();
  const auto body = [&](std::string_view name) { return chat(R"(,"stream":true)", fault(name)).body; };
  EXPECT_TRUE(body("no-done").ends_with("\"finish_reason\":\"stop\"}]}\n\n"));
  EXPECT_EQ(body("eof-mid-stream").find("\"stop\""), std::string::npos);
  EXPECT_EQ(events(body("ollama-silent-failure")).size(), 1u);
  EXPECT_EQ(chat("", fault("no-usage")).body.find("usage"), std::string::npos);
  EXPECT_GT(body("big-event=100000").size(), 100000u);
  EXPECT_EQ(chat(R"(,"stream":true)", fault("die-mid-stream")).end, asio::error::connection_reset);
  EXPECT_EQ(chat(R"(,"stream":true)", fault("refuse")).head, "");
}

TEST_F(Demo, TakesFaultsFromTheModelsNameAndTheCommandLine) {
  start();
  const Client::Answer answer =
      ask("/v1/chat/completions", R"({"model":"demo-model:fault=status=503+ids","messages":[]})");
  EXPECT_TRUE(answer.head.starts_with("HTTP/1.1 503"));
  DemoOptions options;
  options.faults = "status=504";
  start(options);
  EXPECT_TRUE(chat().head.starts_with("HTTP/1.1 504"));
  options.faults = "no-such-fault";
  EXPECT_FALSE(DemoModel::start(options).ok());
}

TEST_F(Demo, TellsWhatReachedIt) {
  DemoOptions options;
  options.record = true;
  start(options);
  (void)chat("", "X-Canary: a\"b\r\n");
  const std::string stats = stats_when("finished", 1);
  EXPECT_NE(stats.find(R"(["X-Canary","a\"b"])"), std::string::npos);
  EXPECT_NE(stats.find(R"("body":"{\"model\":\"demo-model\")"), std::string::npos);
  EXPECT_NE(stats.find("\"running\":0,"), std::string::npos);
  EXPECT_EQ(ask("/demo/stats", "").body, stats);
}

TEST_F(Demo, SeesAClientLeaveStreamedOrNot) {
  DemoOptions options;
  options.pace = std::chrono::milliseconds(100);
  options.tokens = 1'000'000;
  start(options);
  std::uint64_t cancelled = 0;
  for (const char* more : {R"(,"stream":true)", ""}) {
    Client client(model_->endpoint());
    client.send("POST", "/v1/chat/completions", R"({"model":"demo-model","messages":[])" + std::string(more) + "}");
    if (*more != '\0') {
      client.wait_for_bytes();
    } else {
      (void)stats_when("running", 1);
    }
    client.close();
    (void)stats_when("cancelled", ++cancelled);
  }
}

TEST_F(Demo, EndsWhatRunsWhenItStops) {
  DemoOptions options;
  options.tokens = 1'000'000;
  options.pace = std::chrono::milliseconds(50);
  options.threads = 2;
  start(options);
  Client client(model_->endpoint());
  client.send("POST", "/v1/chat/completions", R"({"model":"demo-model","messages":[],"stream":true})");
  client.wait_for_bytes();
  model_.reset();
  (void)client.read();
}

TEST(Words, AreDeterministicAndNeedNoEscape) {
  EXPECT_EQ(words(7, 20), words(7, 20));
  EXPECT_NE(words(7, 20), words(8, 20));
  EXPECT_EQ(words(7, 20).find_first_of("\"\\\n"), std::string::npos);
  EXPECT_EQ(base64("a"), "YQ==");
  EXPECT_EQ(base64("abc"), "YWJj");
}

TEST(FaultNames, AreReadWithTheirArguments) {
  Faults faults;
  EXPECT_TRUE(faults.add("no-done, silence=1.5+status=429"));
  EXPECT_TRUE(faults.has(Fault::kNoDone));
  EXPECT_EQ(faults.seconds(Fault::kSilence), 1.5);
  EXPECT_EQ(faults.number(Fault::kStatus), 429u);
  EXPECT_TRUE(faults.add("status"));
  EXPECT_EQ(faults.number(Fault::kStatus), 500u);
  EXPECT_FALSE(faults.add("no-such"));
  for (const FaultRow& row : fault_rows()) EXPECT_TRUE(Faults().add(row.name));
}

}  // namespace
}  // namespace sluice::demo
