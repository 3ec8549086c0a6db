#include "openai/stream_filter.h"

#include <gtest/gtest.h>

#include "support/filtered.h"

namespace sluice::openai {
namespace {

constexpr std::string_view kHi =
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]})";
constexpr std::string_view kStop =
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";
constexpr std::string_view kUsage =
    R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}})";
constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

std::string event(std::string_view data) { return "data: " + std::string(data) + "\n\n"; }

using Outcome = test::Filtered;

// Feeds `in` cut at `cut`, then ends the stream as an exchange does.
Outcome run(EndpointId id, std::string_view in, StreamFilter::Options options, std::size_t cut) {
  StreamFilter filter(endpoint_of(id), options);
  return test::send_through(filter, test::cut_at(in, cut), 100);
}

struct Case {
  const char* name;
  std::string in;
  std::string out;
  StreamState state = StreamState::kDone;
  bool wants_usage = false;
  EndpointId endpoint = EndpointId::kChatCompletions;
};

std::vector<Case> cases() {
  const std::string hi = event(kHi), stop = event(kStop), usage = event(kUsage), done(kDoneEvent);
  const auto with = [](std::string_view text, std::string_view from, std::string_view to) {
    std::string copy(text);
    const std::size_t at = copy.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return copy.replace(at, from.size(), to);
  };
  const std::string riding =
      with(kStop, R"("stop"}]})", R"("stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}})");
  return {
      {"Passes an ordinary stream as it is", hi + stop + done, hi + stop + done},
      {"C3 removes the usage chunk that was not asked for", hi + stop + usage + done, hi + stop + done},
      {"C4 passes the usage chunk that was asked for", hi + stop + usage + done, hi + stop + usage + done,
       StreamState::kDone, true},
      {"C4 keeps one usage chunk of two", hi + stop + usage + usage + done, hi + stop + usage + done,
       StreamState::kDone, true},
      {"C3 removes null usage", event(with(kHi, "}]}", R"(}],"usage":null})")) + stop + done, hi + stop + done},
      {"Removes null usage that is the first member", event(with(kHi, "{", R"({"usage":null,)")) + stop + done,
       hi + stop + done},
      {"Removes null usage with white space around it",
       event(with(kHi, "}]}", "}] , \"usage\" : null }")) + stop + done, event(with(kHi, "}]}", "}] }")) + stop + done},
      {"Keeps null usage that was asked for", event(with(kHi, "}]}", R"(}],"usage":null})")) + stop + done,
       event(with(kHi, "}]}", R"(}],"usage":null})")) + stop + done, StreamState::kDone, true},
      {"C25 strips cumulative usage",
       event(with(kHi, "}]}", R"(}],"usage":{"prompt_tokens":5,"completion_tokens":1}})")) + event(riding) + done,
       hi + stop + done},
      {"Makes the usage chunk of usage that rides on the last chunk", hi + event(riding) + done,
       hi + event(with(riding, R"({"prompt_tokens":5,"completion_tokens":2})", "null")) +
           event(
               R"({"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}})") +
           done,
       StreamState::kDone, true},
      {"Prefers the usage chunk to riding usage", hi + event(riding) + usage + done,
       hi + event(with(riding, R"({"prompt_tokens":5,"completion_tokens":2})", "null")) + usage + done,
       StreamState::kDone, true},
      {"C18 removes a byte order mark", "\xEF\xBB\xBF" + hi + stop + done, hi + stop + done},
      {"C18 removes id, retry, comments and events without data",
       "id: 7\n" + hi + "retry: 3000\n\n: ping\n\n:\n\nevent: ping\n\ndata:\n\ndata\n\n" + stop + done,
       hi + stop + done},
      {"C18 takes CRLF", with(with(hi + stop + done, "\n\n", "\r\n\r\n"), "\n\ndata: [", "\r\n\r\ndata: ["),
       hi + stop + done},
      {"C18 takes CR", "data: " + std::string(kHi) + "\r\rdata: " + std::string(kStop) + "\r\rdata: [DONE]\r\r",
       hi + stop + done},
      {"C18 keeps event names", "event: x\n" + hi + stop + done, "event: x\n" + hi + stop + done},
      {"Takes a value without a space", "data:" + std::string(kHi) + "\n\n" + stop + done, hi + stop + done},
      {"Keeps data of several lines", "data: {\"a\":1,\ndata: \"b\":2}\n\n" + stop + done,
       "data: {\"a\":1,\ndata: \"b\":2}\n\n" + stop + done},
      {"Ends at DONE without a blank line", hi + stop + "data: [DONE]\n", hi + stop + done},
      {"Ends at DONE without a line end", hi + stop + "data: [DONE]", hi + stop + done},
      {"Takes DONE with more behind it", hi + stop + "data: [DONE] x\n\n", hi + stop + done},
      {"Drops what stands behind DONE", hi + stop + done + hi, hi + stop + done},
      {"Ends cleanly without DONE when every choice ended", hi + stop, hi + stop + done},
      {"C6 an end without an end is broken", hi, hi, StreamState::kBroken},
      {"C6 an event cut off is broken", hi + "data: {\"id\"", hi, StreamState::kBroken},
      {"An empty stream is broken", "", "", StreamState::kBroken},
      {"Data that is not JSON is broken", hi + "data: <html>\n\n" + stop, hi, StreamState::kBroken},
      {"JSON that does not close is broken", hi + "data: {\"a\":[1}\n\n", hi, StreamState::kBroken},
      {"Two objects in one event are broken", hi + "data: {}{}\n\n", hi, StreamState::kBroken},
      {"C19 removes a null error",
       event(with(kHi, "{", R"({"error":null,)")) + event(with(kStop, "}]}", R"(}],"error":null})")) + done,
       hi + stop + done},
      {"C19 removes a null error beside null usage",
       event(with(kHi, "{", R"({"error":null,"usage":null,)")) +
           event(with(kStop, "}]}", R"(}],"usage":null,"error":null})")) + done,
       hi + stop + done},
      {"C19 removes a null error from a usage chunk", hi + stop + event(with(kUsage, "{", R"({"error":null,)")) + done,
       hi + stop + usage + done, StreamState::kDone, true},
      {"An error event leaves nested",
       hi + event(R"({"error":{"message":"boom","type":"t","param":null,"code":"c"}})") + done,
       hi + event(R"({"error":{"message":"boom","type":"t","param":null,"code":"c"}})"), StreamState::kError},
      {"An integer code becomes a string", hi + event(R"({"error":{"message":"boom","code":503}})"),
       hi + event(R"({"error":{"message":"boom","type":"service_unavailable_error","param":null,"code":"503"}})"),
       StreamState::kError},
      {"An error of text leaves nested", hi + event(R"({"error":"bo\nom"})"),
       hi + event(R"({"error":{"message":"bo\nom","type":"server_error","param":null,"code":null}})"),
       StreamState::kError},
      {"A flat error leaves nested",
       hi + event(R"({"object":"error","message":"boom","type":"BadRequest","param":null,"code":400})"),
       hi + event(R"({"error":{"message":"boom","type":"BadRequest","param":null,"code":"400"}})"),
       StreamState::kError},
      {"An error with choices null leaves nested", hi + event(R"({"choices":null,"error":"boom"})"),
       hi + event(R"({"error":{"message":"boom","type":"server_error","param":null,"code":null}})"),
       StreamState::kError},
      {"An error under its event name leaves nested", hi + "event: error\ndata: {\"message\":\"boom\"}\n\n",
       hi + event(R"({"error":{"message":"boom","type":"server_error","param":null,"code":null}})"),
       StreamState::kError},
      {"A native error line without a field name leaves nested", hi + "{\"error\":\"boom\"}\n",
       hi + event(R"({"error":{"message":"boom","type":"server_error","param":null,"code":null}})"),
       StreamState::kError},
      {"An overflow of the context is recognised",
       event(R"({"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}})"),
       event(
           R"({"error":{"message":"too long","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}})"),
       StreamState::kError},
      {"Drops chunks with null or empty choices",
       event(R"({"choices":null})") + event(R"({"choices":[ ]})") + hi + stop + done, hi + stop + done},
      {"Takes usage with null choices for a usage chunk",
       hi + stop + event(R"({"choices":null,"usage":{"prompt_tokens":5}})") + done,
       hi + stop + event(R"({"choices":[],"usage":{"prompt_tokens":5}})") + done, StreamState::kDone, true},
      {"Text that looks like members stays",
       event(with(kHi, "Hi", R"(\"usage\":{\"error\":1},\"choices\":[])")) + stop + done,
       event(with(kHi, "Hi", R"(\"usage\":{\"error\":1},\"choices\":[])")) + stop + done},
      {"Nested members called usage and error stay",
       event(with(kHi, R"("content":"Hi")", R"("usage":{"a":1},"error":"x","content":"usage")")) + stop + done,
       event(with(kHi, R"("content":"Hi")", R"("usage":{"a":1},"error":"x","content":"usage")")) + stop + done},
      {"Keeps timings", hi + event(with(kStop, "}]}", R"(}],"timings":{"predicted_ms":1.5}})")) + done,
       hi + event(with(kStop, "}]}", R"(}],"timings":{"predicted_ms":1.5}})")) + done},
      {"Replaces bytes that are not UTF-8",
       event(with(kHi, "Hi",
                  "a\xFF"
                  "b")) +
           stop + done,
       event(with(kHi, "Hi",
                  "a\xEF\xBF\xBD"
                  "b")) +
           stop + done},
      {"An empty finish_reason is no end", event(with(kStop, "\"stop\"", "\"\"")),
       event(with(kStop, "\"stop\"", "\"\"")), StreamState::kBroken},
      {"C36 tool calls pass unchanged",
       event(
           R"({"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]},"finish_reason":null}]})") +
           stop + done,
       event(
           R"({"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]},"finish_reason":null}]})") +
           stop + done},
      {"Completions with zero usage on each chunk",
       event(
           R"({"model":"m","choices":[{"text":"a","index":0,"finish_reason":null}],"usage":{"prompt_tokens":0,"completion_tokens":0}})") +
           event(
               R"({"model":"m","choices":[{"text":"b","index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}})") +
           done,
       event(R"({"model":"m","choices":[{"text":"a","index":0,"finish_reason":null}],"usage":null})") +
           event(R"({"model":"m","choices":[{"text":"b","index":0,"finish_reason":"stop"}],"usage":null})") +
           event(R"({"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})") + done,
       StreamState::kDone, true, EndpointId::kCompletions},
      {"C37 responses keep names and end at their terminal event",
       "event: response.created\ndata: "
       "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"model\":\"m\",\"error\":null,"
       "\"usage\":null}}\n\n"
       "event: response.completed\ndata: "
       "{\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{\"id\":\"r\",\"usage\":{\"input_tokens\":"
       "5}}}\n\n" +
           done,
       "event: response.created\ndata: "
       "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"model\":\"m\",\"error\":null,"
       "\"usage\":null}}\n\n"
       "event: response.completed\ndata: "
       "{\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{\"id\":\"r\",\"usage\":{\"input_tokens\":"
       "5}}}\n\n",
       StreamState::kDone, false, EndpointId::kResponses},
      {"C37 responses without a terminal event are broken",
       "event: response.created\ndata: {\"type\":\"response.created\"}\n\n" + done,
       "event: response.created\ndata: {\"type\":\"response.created\"}\n\n", StreamState::kBroken, false,
       EndpointId::kResponses},
      {"An error event of responses leaves nested",
       "event: error\ndata: {\"type\":\"error\",\"code\":\"c\",\"message\":\"boom\",\"param\":null}\n\n",
       event(R"({"error":{"message":"boom","type":"error","param":null,"code":"c"}})"), StreamState::kError, false,
       EndpointId::kResponses},
  };
}

TEST(StreamFilter, GivesTheSameForEverySplit) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    for (std::size_t cut = 0; cut <= c.in.size(); ++cut) {
      const Outcome outcome = run(c.endpoint, c.in, {.client_wants_usage = c.wants_usage}, cut);
      ASSERT_EQ(outcome.out, c.out) << "cut at " << cut;
      ASSERT_EQ(static_cast<int>(outcome.state), static_cast<int>(c.state)) << "cut at " << cut;
    }
  }
}

TEST(StreamFilter, GivesTheSameByteByByte) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    StreamFilter filter(endpoint_of(c.endpoint), {.client_wants_usage = c.wants_usage});
    Buffer arrived, out;
    StreamState state = StreamState::kOpen;
    for (const char byte : c.in) {
      arrived.append({&byte, 1});
      state = filter.filter(arrived, out);
    }
    if (state == StreamState::kOpen || state == StreamState::kDone) state = filter.finish(out);
    EXPECT_EQ(out.view(), c.out);
    EXPECT_EQ(static_cast<int>(state), static_cast<int>(c.state));
  }
}

TEST(StreamFilter, AnEventLeavesAsSoonAsItIsWhole) {
  for (const std::string_view end : {"\n\n", "\r\n\r\n", "\r\r", "\r\n\n"}) {
    StreamFilter filter(endpoint_of(EndpointId::kChatCompletions), {});
    Buffer arrived, out;
    arrived.append("data: " + std::string(kHi) + std::string(end));
    EXPECT_EQ(filter.filter(arrived, out), StreamState::kOpen);
    EXPECT_EQ(out.view(), event(kHi));
    EXPECT_TRUE(arrived.empty());
  }
}

TEST(StreamFilter, C24TakesTheUsageThatTheUpstreamSaid) {
  const Outcome outcome =
      run(EndpointId::kChatCompletions, event(kHi) + event(kStop) + event(kUsage) + std::string(kDoneEvent), {}, 0);
  EXPECT_EQ(outcome.usage.source, UsageSource::kMeasured);
  EXPECT_EQ(outcome.usage.prompt_tokens, 5u);
  EXPECT_EQ(outcome.usage.completion_tokens, 2u);
  EXPECT_EQ(outcome.model, "m");
}

TEST(StreamFilter, C25TakesTheLastCumulativeUsage) {
  std::string in;
  for (int i = 1; i <= 3; ++i)
    in += event(
        R"({"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}],"usage":{"prompt_tokens":4,"completion_tokens":)" +
        std::to_string(i) + "}}");
  const Outcome outcome = run(EndpointId::kChatCompletions, in, {}, 0);
  EXPECT_EQ(outcome.usage.completion_tokens, 3u);
  EXPECT_EQ(outcome.usage.prompt_tokens, 4u);
}

TEST(StreamFilter, EstimatesWhereTheUpstreamSaysNothing) {
  const Outcome outcome =
      run(EndpointId::kChatCompletions, event(kHi) + event(kHi) + event(kStop) + std::string(kDoneEvent), {}, 0);
  EXPECT_EQ(outcome.usage.source, UsageSource::kEstimated);
  EXPECT_EQ(outcome.usage.prompt_tokens, 100u);
  EXPECT_EQ(outcome.usage.completion_tokens, 2u);
}

TEST(StreamFilter, CountsADeltaOfManyTokensByItsLength) {
  const std::string text(400, 'x');
  const Outcome outcome = run(EndpointId::kChatCompletions,
                              event(R"({"choices":[{"index":0,"delta":{"content":")" + text + R"("}}]})"), {}, 0);
  EXPECT_EQ(outcome.counted, 100u);
}

TEST(StreamFilter, ARepeatedChunkIsTreatedAsTheFirst) {
  const auto chunk = [](const std::string& text, const std::string& end) {
    return event(R"({"error":null,"model":"m","choices":[{"index":0,"delta":{"content":")" + text +
                 R"("},"finish_reason":)" + end + R"(}],"usage":null})");
  };
  const auto left = [](const std::string& text, const std::string& end) {
    return event(R"({"model":"m","choices":[{"index":0,"delta":{"content":")" + text + R"("},"finish_reason":)" + end +
                 "}]}");
  };
  std::string in, out;
  for (const std::string text :
       {"a", "bc", "", R"(\"\u0041\\)", R"("},"finish_reason":null}],"x":[{"y":{"z":")", "d"}) {
    in += chunk(text, "null");
    out += left(text, "null");
  }
  // The fifth is no repetition but another chunk in disguise: it has no text.
  in += chunk("e", "\"stop\"") + std::string(kDoneEvent);
  out += left("e", "\"stop\"") + std::string(kDoneEvent);
  const Outcome outcome = run(EndpointId::kChatCompletions, in, {}, 0);
  EXPECT_EQ(outcome.out, out);
  EXPECT_EQ(outcome.state, StreamState::kDone);
  EXPECT_EQ(outcome.counted, 5u);
}

TEST(StreamFilter, NothingPassedIsNoUsage) {
  EXPECT_EQ(run(EndpointId::kChatCompletions, "", {}, 0).usage.source, UsageSource::kNone);
}

TEST(StreamFilter, TakesTheUsageOfEachTerminalEventOfResponses) {
  for (const std::string type : {"response.completed", "response.incomplete", "response.failed"}) {
    const Outcome outcome = run(
        EndpointId::kResponses,
        "event: " + type + "\ndata: {\"type\":\"" + type +
            R"(","response":{"model":"m","usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":2},"output_tokens":9,"output_tokens_details":{"reasoning_tokens":4}}}})" +
            "\n\n",
        {}, 0);
    EXPECT_EQ(outcome.state, StreamState::kDone);
    EXPECT_EQ(outcome.usage.prompt_tokens, 5u);
    EXPECT_EQ(outcome.usage.cached_tokens, 2u);
    EXPECT_EQ(outcome.usage.completion_tokens, 9u);
    EXPECT_EQ(outcome.usage.reasoning_tokens, 4u);
    EXPECT_EQ(outcome.model, "m");
  }
}

TEST(StreamFilter, CutEndsEveryOpenChoice) {
  StreamFilter filter(endpoint_of(EndpointId::kChatCompletions),
                      {.client_wants_usage = true, .choices = 2, .prompt_estimate = 6});
  Buffer arrived, out;
  arrived.append(event(kHi) + event(kStop));
  (void)filter.filter(arrived, out);
  out.clear();
  filter.cut(out);
  EXPECT_EQ(
      out.view(),
      "data: "
      "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":1,"
      "\"delta\":{},"
      "\"logprobs\":null,\"finish_reason\":\"length\"}],\"usage\":null}\n\n"
      "data: "
      "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[],\"usage\":"
      "{\"prompt_tokens\":6,\"completion_tokens\":1,\"total_tokens\":7}}\n\n"
      "data: [DONE]\n\n");
}

TEST(StreamFilter, CutOfResponsesIsAnIncompleteResponse) {
  StreamFilter filter(endpoint_of(EndpointId::kResponses), {.prompt_estimate = 6});
  Buffer arrived, out;
  arrived.append(
      "event: response.created\ndata: "
      "{\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r1\",\"created_at\":8,\"model\":"
      "\"m\"}}\n\n"
      "event: response.output_text.delta\ndata: "
      "{\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"Hi\"}\n\n");
  (void)filter.filter(arrived, out);
  out.clear();
  filter.cut(out);
  EXPECT_EQ(out.view(),
            "event: response.incomplete\ndata: "
            "{\"type\":\"response.incomplete\",\"sequence_number\":2,\"response\":{\"id\":\"r1\",\"object\":"
            "\"response\",\"created_at\":8,\"status\":\"incomplete\",\"error\":null,\"incomplete_details\":{\"reason\":"
            "\"max_output_tokens\"},"
            "\"model\":\"m\",\"output\":[],\"usage\":{\"input_tokens\":6,\"output_tokens\":1,\"total_tokens\":7,"
            "\"input_tokens_details\":"
            "{\"cached_tokens\":0},\"output_tokens_details\":{\"reasoning_tokens\":0}}}}\n\n");
}

TEST(StreamFilter, ManyChoicesEndTogether) {
  const std::string first = event(kStop);
  const std::string second = event(R"({"choices":[{"index":1,"delta":{},"finish_reason":"length"}]})");
  EXPECT_EQ(run(EndpointId::kChatCompletions, first, {.choices = 2}, 0).state, StreamState::kBroken);
  EXPECT_EQ(run(EndpointId::kChatCompletions, first + second, {.choices = 2}, 0).state, StreamState::kDone);
}

TEST(StreamFilter, C31AHugeEventPassesInLinearTime) {
  const std::string big = event(R"({"choices":[{"index":0,"delta":{"content":")" + std::string(8 << 20, 'x') +
                                R"("},"finish_reason":"stop"}]})");
  StreamFilter filter(endpoint_of(EndpointId::kChatCompletions), {});
  Buffer arrived, out;
  constexpr std::size_t kStep = 1000;  // 8,389 calls: each may look at what is new alone
  for (std::size_t at = 0; at < big.size(); at += kStep) {
    arrived.append(std::string_view(big).substr(at, kStep));
    ASSERT_EQ(filter.filter(arrived, out), StreamState::kOpen);
  }
  EXPECT_TRUE(out.view() == big);
}

TEST(StreamFilter, AnEventBeyondItsLimitIsBroken) {
  for (const std::string end : {"", "\"}\n\n"}) {
    StreamFilter filter(endpoint_of(EndpointId::kChatCompletions), {.event_limit_bytes = 100});
    Buffer arrived, out;
    arrived.append("data: {\"a\":\"" + std::string(200, 'x') + end);
    EXPECT_EQ(filter.filter(arrived, out), StreamState::kBroken);
    EXPECT_TRUE(out.empty());
  }
}

TEST(StreamFilter, ManyEventsAtOnceAreTakenPartByPart) {
  const std::size_t count = 10 * StreamFilter::kEventsAtOnce + 7;
  Buffer in, out;
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += event(kHi);
  in.append(all);
  in.append("data: unfin");
  StreamFilter filter(endpoint_of(EndpointId::kChatCompletions), {});
  std::size_t passes = 0;
  do {
    EXPECT_EQ(filter.filter(in, out), StreamState::kOpen);
    EXPECT_LE(filter.events(), ++passes * StreamFilter::kEventsAtOnce);
  } while (filter.has_more());
  EXPECT_EQ(passes, 11u);
  EXPECT_EQ(out.view(), all);
  EXPECT_EQ(in.view(), "data: unfin");
}

TEST(StreamFilter, C50TellsUnderWhichIdsAResponseIsKeptBeforeItsEventLeaves) {
  StreamFilter filter(endpoint_of(EndpointId::kResponses), {});
  Buffer in, out;
  const auto take = [&](std::string_view event) {
    in.append("data: " + std::string(event) + "\n\n");
    (void)filter.filter(in, out);
  };
  EXPECT_EQ(filter.kept_ids()->count(), 0u);
  take(
      R"({"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress"}})");
  EXPECT_EQ(filter.kept_ids()->answer(), "resp_1");
  take(R"({"type":"response.output_item.added","sequence_number":1,"item":{"type":"message","id":"msg_1"}})");
  take(R"({"type":"response.output_item.done","sequence_number":2,"item":{"type":"message","id":"msg_1"}})");
  take(R"({"type":"response.output_item.done","sequence_number":3,"item":{"type":"function_call","id":"fc/1"}})");
  take(R"({"type":"response.completed","sequence_number":4,"response":{"id":"resp_2","status":"completed"}})");
  EXPECT_EQ(filter.kept_ids()->answer(), "resp_1");
  EXPECT_EQ(filter.kept_ids()->items(), std::vector<std::string>{"msg_1"});
  EXPECT_EQ(StreamFilter(endpoint_of(EndpointId::kChatCompletions), {}).kept_ids(), nullptr);
}

}  // namespace
}  // namespace sluice::openai
