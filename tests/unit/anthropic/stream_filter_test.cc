#include "anthropic/stream_filter.h"

#include <gtest/gtest.h>

#include "anthropic/assembled_message.h"
#include "anthropic/message_events.h"
#include "support/filtered.h"

namespace sluice::anthropic {
namespace {

using dialect::StreamState;

std::string event(std::string_view name, std::string_view data) {
  return "event: " + std::string(name) + "\ndata: " + std::string(data) + "\n\n";
}

const std::string kStart = event(
    "message_start",
    R"({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"usage":{"input_tokens":25,"cache_read_input_tokens":100,"cache_creation_input_tokens":10,"output_tokens":1}}})");
const std::string kBlock = event(
    "content_block_start", R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})");
const std::string kPing = event("ping", R"({"type": "ping"})");
const std::string kHello = event(
    "content_block_delta", R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}})");
const std::string kBlockStop = event("content_block_stop", R"({"type":"content_block_stop","index":0})");
const std::string kDelta = event(
    "message_delta",
    R"({"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}})");
const std::string kStop = event("message_stop", R"({"type":"message_stop"})");
const std::string kWhole = kStart + kBlock + kPing + kHello + kBlockStop + kDelta + kStop;

using Outcome = test::Filtered;

// Feeds `in` cut at `cut`, then ends the stream as an exchange does.
Outcome run(std::string_view in, dialect::FilterOptions options = {}, std::size_t cut = 0) {
  StreamFilter filter(options);
  return test::send_through(filter, test::cut_at(in, cut), 1000);
}

struct StreamCase {
  const char* name;
  std::string in;
  std::string out;
  StreamState state = StreamState::kDone;
};

std::string with(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::vector<StreamCase> cases() {
  const std::string overloaded =
      event("error", R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})");
  return {
      {"Passes an ordinary stream byte for byte", kWhole, kWhole},
      {"Takes CRLF", with(kWhole, "\n", "\r\n"), kWhole},
      {"Takes CR", with(kWhole, "\n", "\r"), kWhole},
      {"Removes comments, ids, retries, events without data and a byte order mark",
       "\xEF\xBB\xBF: hi\n\nid: 7\nretry: 3\n" + kStart + "event: x\n\n: ping\n\n" + kBlock + kHello + kStop,
       kStart + kBlock + kHello + kStop},
      {"Names an event that has no name by its type", with(kWhole, "event: content_block_delta\n", ""), kWhole},
      {"Passes an event that it does not know", kStart + event("new_thing", R"({"type":"new_thing","a":1})") + kStop,
       kStart + event("new_thing", R"({"type":"new_thing","a":1})") + kStop},
      {"Drops what stands behind the end", kWhole + kHello, kWhole},
      {"Passes by another dialect's end", kStart + kBlock + kBlockStop + kDelta + "data: [DONE]\n\n" + kStop,
       kStart + kBlock + kBlockStop + kDelta + kStop},
      {"Takes an end without its blank line", kWhole.substr(0, kWhole.size() - 2), kWhole},
      {"Takes an end of CRLF without its blank line", with(kWhole.substr(0, kWhole.size() - 2), "\n", "\r\n"), kWhole},
      {"Takes an end without its blank line and without a space",
       kStart + "event:message_stop\ndata:{\"type\":\"message_stop\"}", kStart + kStop},
      {"Takes an end without its blank line and without a name", kStart + R"(data: {"type":"message_stop"})",
       kStart + kStop},
      {"Takes no other event without its blank line",
       kStart + R"(data: {"type":"content_block_delta","delta":{"text":"message_stop"}})", kStart,
       StreamState::kBroken},
      {"Ends with an error event, in its own words", kStart + overloaded + kHello, kStart + overloaded,
       StreamState::kError},
      {"Gives an error of another form the form of the dialect",
       kStart + "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n",
       kStart + event("error", R"({"type":"error","error":{"type":"api_error","message":"out of memory"}})"),
       StreamState::kError},
      {"Gives an error that is no event its form", kStart + "{\"error\":\"boom\"}\n",
       kStart + event("error", R"({"type":"error","error":{"type":"api_error","message":"boom"}})"),
       StreamState::kError},
      {"Hides an error about the gateway's own key",
       event("error", R"({"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key sk-1"}})"),
       event(
           "error",
           R"({"type":"error","error":{"type":"api_error","message":"The model server refused the gateway's credentials. Tell your administrator."}})"),
       StreamState::kError},
      {"C6 is not whole without message_stop", kStart + kBlock + kHello + kBlockStop + kDelta,
       kStart + kBlock + kHello + kBlockStop + kDelta, StreamState::kBroken},
      {"C6 is not whole when nothing came", "", "", StreamState::kBroken},
      {"Breaks at what is no JSON", kStart + "event: x\ndata: oops\n\n" + kStop, kStart, StreamState::kBroken},
      {"Breaks at JSON that does not end", kStart + "event: x\ndata: {\"type\":\"ping\"\n\n" + kStop, kStart,
       StreamState::kBroken},
      {"C18 mends what is not UTF-8", kStart + with(kHello, "Hello", "H\xFFi") + kStop,
       kStart + with(kHello, "Hello", "H\xEF\xBF\xBDi") + kStop},
  };
}

TEST(StreamFilter, GivesTheSameWhereverItsInputIsSplit) {
  for (const StreamCase& c : cases()) {
    for (std::size_t cut = 0; cut <= c.in.size(); ++cut) {
      const Outcome outcome = run(c.in, {}, cut);
      ASSERT_EQ(outcome.out, c.out) << c.name << " at " << cut;
      ASSERT_EQ(outcome.state, c.state) << c.name << " at " << cut;
    }
  }
}

TEST(StreamFilter, JoinsTheUsageOfTheStartAndTheEnd) {
  const Outcome outcome = run(kWhole);
  EXPECT_EQ(outcome.usage.source, UsageSource::kMeasured);
  EXPECT_EQ(outcome.usage.prompt_tokens, 135u);  // what is read from and written to a cache stands beside input_tokens
  EXPECT_EQ(outcome.usage.cached_tokens, 100u);
  EXPECT_EQ(outcome.usage.cache_write_tokens, 10u);
  EXPECT_EQ(outcome.usage.completion_tokens, 15u);
  EXPECT_EQ(outcome.model, "claude");
}

TEST(StreamFilter, C25TakesTheLastOfCumulativeUsageAndNotTheSum) {
  const std::string first = with(kDelta, R"("output_tokens":15)", R"("output_tokens":7,"input_tokens":30)");
  const Outcome outcome = run(kStart + kBlock + kHello + first + kBlockStop + kDelta + kStop);
  EXPECT_EQ(outcome.usage.completion_tokens, 15u);
  EXPECT_EQ(outcome.usage.prompt_tokens, 135u);
}

TEST(StreamFilter, TakesThePromptFromTheEndWhereTheStartDidNotKnowIt) {
  const std::string start =
      with(kStart, R"("input_tokens":25,"cache_read_input_tokens":100,"cache_creation_input_tokens":10)",
           R"("input_tokens":0)");
  const std::string delta = with(kDelta, R"("output_tokens":15)", R"("input_tokens":44,"output_tokens":15)");
  const Outcome outcome = run(start + kBlock + kHello + kBlockStop + delta + kStop);
  EXPECT_EQ(outcome.usage.prompt_tokens, 44u);
  EXPECT_EQ(outcome.usage.source, UsageSource::kMeasured);
}

TEST(StreamFilter, CountsTheOutputOfAStreamThatBrokeOffBecauseItsStartKnowsNone) {
  std::string in = kStart + kBlock;
  for (int i = 0; i < 40; ++i) in += kHello;
  const Outcome outcome = run(in);
  EXPECT_EQ(outcome.state, StreamState::kBroken);
  EXPECT_EQ(outcome.usage.source, UsageSource::kEstimated);
  EXPECT_EQ(outcome.usage.prompt_tokens, 135u);
  EXPECT_EQ(outcome.usage.completion_tokens, 50u);  // 200 bytes
}

TEST(StreamFilter, EstimatesWhereNoUsageIsTold) {
  const std::string start = with(kStart, R"("usage")", R"("no_usage")");
  const std::string delta = with(kDelta, R"({"output_tokens":15})", "null");
  const Outcome outcome = run(start + kBlock + kHello + kBlockStop + delta + kStop);
  EXPECT_EQ(outcome.usage.source, UsageSource::kEstimated);
  EXPECT_EQ(outcome.usage.prompt_tokens, 1000u);
  EXPECT_EQ(outcome.usage.completion_tokens, 1u);
}

TEST(StreamFilter, CountsThinkingAndTheInputOfToolsAndNoSignature) {
  const auto delta = [](std::string_view inside) {
    return event("content_block_delta",
                 R"({"type":"content_block_delta","index":0,"delta":{)" + std::string(inside) + "}}");
  };
  const std::string text(400, 'x');
  EXPECT_EQ(run(delta(R"("type":"thinking_delta","thinking":")" + text + '"')).counted, 100u);
  EXPECT_EQ(run(delta(R"("type":"input_json_delta","partial_json":")" + text + '"')).counted, 100u);
  EXPECT_EQ(run(delta(R"("type":"signature_delta","signature":")" + text + '"')).counted, 0u);
}

TEST(StreamFilter, C41DoesNotBelieveMoreThanTheCapThatWasSent) {
  const Outcome outcome = run(kWhole, {.claim_limit = {.completion = 10}});
  EXPECT_EQ(outcome.usage.source, UsageSource::kEstimated);
  EXPECT_EQ(outcome.usage.completion_tokens, 1u);
  ASSERT_TRUE(outcome.told);
  EXPECT_EQ(outcome.told->doubt, dialect::UsageDoubt::kClaim);
}

TEST(StreamFilter, CutEndsTheMessageAsIfItHadMetItsCap) {
  StreamFilter filter({.prompt_estimate = 9});
  Buffer in, out;
  in.append(kStart + kBlock + kHello);
  EXPECT_EQ(filter.filter(in, out), StreamState::kOpen);
  out.clear();
  filter.cut(out);
  EXPECT_EQ(
      out.view(),
      kBlockStop +
          event(
              "message_delta",
              R"({"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":1}})") +
          kStop);
  EXPECT_EQ(filter.finish(out), StreamState::kDone);
}

TEST(StreamFilter, CutBehindTheReasonOfTheServerLeavesItAsItIs) {
  StreamFilter filter({});
  Buffer in, out;
  in.append(kStart + kBlock + kHello + kBlockStop + kDelta);
  EXPECT_EQ(filter.filter(in, out), StreamState::kOpen);
  filter.cut(out);
  EXPECT_EQ(out.view(), kStart + kBlock + kHello + kBlockStop + kDelta + kStop);
}

TEST(StreamFilter, CutBeforeTheFirstEventMakesAWholeMessage) {
  StreamFilter filter({.prompt_estimate = 9});
  Buffer out;
  filter.cut(out);
  const Outcome again = run(out.view());
  EXPECT_EQ(again.state, StreamState::kDone);
  EXPECT_EQ(again.out, out.view());
}

TEST(StreamFilter, AnEventBeyondItsLimitBreaksTheStream) {
  EXPECT_EQ(run(kWhole, {.event_limit_bytes = 64}).state, StreamState::kBroken);
  EXPECT_EQ(run("event: x\ndata: {" + std::string(200, ' '), {.event_limit_bytes = 64}).state, StreamState::kBroken);
}

TEST(StreamFilter, ManyEventsAtOnceAreTakenInTurns) {
  StreamFilter filter({});
  Buffer in, out;
  for (unsigned i = 0; i < StreamFilter::kEventsAtOnce + 1; ++i) in.append(kHello);
  (void)filter.filter(in, out);
  EXPECT_TRUE(filter.has_more());
  (void)filter.filter(in, out);
  EXPECT_FALSE(filter.has_more());
}

// --- the other form

constexpr std::string_view kMessage =
    R"({"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"thinking","thinking":"hm","signature":"s=="},{"type":"text","text":"a \"b\" \u00e9"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"q":"x \"y\"","n":[1,2]}},{"type":"tool_use","id":"toolu_2","name":"g","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":25,"cache_read_input_tokens":3,"output_tokens":15}})";

TEST(WholeAsStream, SaysWhatTheMessageSaysAndComesBackAsIt) {
  Buffer events;
  ASSERT_EQ(append_as_events(events, kMessage), dialect::Converted::kDone);
  StreamFilter filter({});
  Buffer out;
  ASSERT_EQ(filter.filter(events, out), StreamState::kDone);
  EXPECT_EQ(filter.usage(0).prompt_tokens, 28u);
  EXPECT_EQ(filter.usage(0).completion_tokens, 15u);
  AssembledMessage assembled;
  assembled.take(out);
  Buffer again;
  ASSERT_EQ(assembled.append_to(again), dialect::Converted::kDone);
  EXPECT_EQ(again.view(), kMessage);
}

TEST(WholeAsStream, ADeltaThatCannotBeJoinedMakesNoAnswer) {
  AssembledMessage assembled;
  Buffer events;
  events.append(kStart + kBlock +
                event("content_block_delta",
                      R"({"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{}}})"));
  assembled.take(events);
  Buffer out;
  EXPECT_EQ(assembled.append_to(out), dialect::Converted::kNot);
}

TEST(WholeAsStream, AToolsInputThatWasCutMakesNoAnswer) {
  AssembledMessage assembled;
  Buffer events;
  events.append(
      kStart +
      event(
          "content_block_start",
          R"({"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}})") +
      event(
          "content_block_delta",
          R"({"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"q\":"}})"));
  assembled.take(events);
  Buffer out;
  EXPECT_EQ(assembled.append_to(out), dialect::Converted::kNot);
}

TEST(WholeAsStream, WhyItStoppedIsToldInFullAtTheEnd) {
  Buffer events;
  const std::string_view answer =
      R"({"type":"message","content":[],"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber"},"usage":{"output_tokens":1}})";
  ASSERT_EQ(append_as_events(events, answer), dialect::Converted::kDone);
  EXPECT_TRUE(
      events.view().find(
          R"("delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":"cyber"}},)") !=
      std::string_view::npos)
      << events.view();
}

TEST(WholeAsStream, WhatIsNoMessageIsNot) {
  Buffer out;
  for (const char* answer : {"[]", "{}", R"({"content":"x"})", R"({"content":["x"]})"})
    EXPECT_EQ(append_as_events(out, answer), dialect::Converted::kNot) << answer;
}

}  // namespace
}  // namespace sluice::anthropic
