// The demo model's faults, what it tells of the calls that reached it, and how it ends.
#include "demo/faults.h"

#include "demo/words.h"
#include "unit/demo/demo_fixture.h"

namespace sluice::demo {
namespace {

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
