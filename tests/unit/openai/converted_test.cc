// A whole answer made into a stream, and a stream into a whole answer.
#include <gtest/gtest.h>

#include <string>

#include "openai/answer_events.h"
#include "openai/assembled_answer.h"
#include "openai/stream_filter.h"

namespace sluice::openai {
namespace {

struct Streamed {
  Converted converted = Converted::kNot;
  StreamState state = StreamState::kOpen;
  std::string out;
  Usage usage;
};

// As the client gets it.
Streamed stream_of(EndpointId id, std::string_view answer, bool wants_usage = true) {
  const Endpoint& endpoint = endpoint_of(id);
  Streamed streamed;
  Buffer events, out;
  streamed.converted = append_as_events(events, endpoint, answer);
  if (streamed.converted == Converted::kNot) return streamed;
  StreamFilter filter(endpoint, {.client_wants_usage = wants_usage});
  streamed.state = filter.filter(events, out);
  if (streamed.state == StreamState::kDone) streamed.state = filter.finish(out);
  streamed.out = out.view();
  streamed.usage = filter.usage(1);
  return streamed;
}

std::string whole_of(EndpointId id, std::string_view events, std::size_t step, Converted* converted = nullptr) {
  const Endpoint& endpoint = endpoint_of(id);
  StreamFilter filter(endpoint, {.client_wants_usage = true});
  AssembledAnswer assembled(endpoint);
  Buffer in, out, whole;
  StreamState state = StreamState::kOpen;
  for (std::size_t at = 0; at < events.size() && state == StreamState::kOpen; at += step) {
    in.append(events.substr(at, step));
    state = filter.filter(in, out);
    assembled.take(out);
  }
  if (state == StreamState::kDone || state == StreamState::kOpen) (void)filter.finish(out);
  assembled.take(out);
  const Converted done = assembled.append_to(whole);
  if (converted != nullptr) *converted = done;
  return std::string(whole.view());
}

constexpr std::string_view kChat =
    R"({"object":"chat.completion","id":"c1","created":1,"model":"m","system_fingerprint":"f","choices":[)"
    R"({"index":0,"message":{"role":"assistant","content":"a \"b\"\n\u00e9","reasoning_content":"why"},"logprobs":null,"finish_reason":"stop"},)"
    R"({"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},)"
    R"({"id":"t2","type":"function","function":{"name":"g","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],)"
    R"("usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}})";
constexpr std::string_view kCompletion =
    R"({"object":"text_completion","id":"c1","created":1,"model":"m","choices":[{"index":0,"text":"ab","logprobs":null,"finish_reason":"length"},)"
    R"({"index":1,"text":"","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":3}})";

TEST(Converted, C43AWholeAnswerThatWasStreamedIsTheSameWhenItIsPutTogether) {
  for (const auto& [id, answer] :
       {std::pair(EndpointId::kChatCompletions, kChat), std::pair(EndpointId::kCompletions, kCompletion)}) {
    const Streamed streamed = stream_of(id, answer);
    ASSERT_EQ(streamed.converted, Converted::kDone);
    EXPECT_EQ(streamed.state, StreamState::kDone);
    EXPECT_EQ(streamed.usage.prompt_tokens, 5u);
    EXPECT_EQ(streamed.usage.completion_tokens, 3u);
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, streamed.out.size()})
      EXPECT_EQ(whole_of(id, streamed.out, step), answer) << streamed.out;
  }
}

TEST(Converted, C43NoUsageIsToldToWhoAskedForNone) {
  EXPECT_EQ(stream_of(EndpointId::kChatCompletions, kChat, false).out.find("usage"), std::string::npos);
  EXPECT_EQ(stream_of(EndpointId::kCompletions, kCompletion, false).out.find("usage"), std::string::npos);
}

TEST(Converted, C43WhatIsMissingIsFilledIn) {
  const Streamed streamed =
      stream_of(EndpointId::kChatCompletions, R"({"choices":[{"message":{"content":"x"}},{"text":"y"}]})");
  ASSERT_EQ(streamed.converted, Converted::kDone);
  EXPECT_NE(streamed.out.find(R"({"index":1,"delta":{"content":"y"})"), std::string::npos) << streamed.out;
  EXPECT_NE(streamed.out.find(R"({"role":"assistant"})"), std::string::npos);
  EXPECT_NE(streamed.out.find(R"("finish_reason":"stop")"), std::string::npos);
}

TEST(Converted, C43SomeAnswersHaveNoStream) {
  for (const char* answer : {R"({"choices":[]})", R"({"choices":[{}]})", R"({"choices":[7]})", "[]", "{}"})
    EXPECT_EQ(stream_of(EndpointId::kChatCompletions, answer).converted, Converted::kNot) << answer;
  EXPECT_EQ(stream_of(EndpointId::kResponses, R"({"object":"response","output":[]})").converted, Converted::kNot);
}

TEST(Converted, C43SomeStreamsHaveNoWhole) {
  Converted converted = Converted::kDone;
  (void)whole_of(EndpointId::kChatCompletions,
                 "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"logprobs\":{\"content\":[]},"
                 "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
                 9, &converted);
  EXPECT_EQ(converted, Converted::kNot);
  (void)whole_of(EndpointId::kChatCompletions, "data: [DONE]\n\n", 9, &converted);
  EXPECT_EQ(converted, Converted::kNot);
}

TEST(Converted, C43OfResponsesTheLastEventHoldsTheWhole) {
  constexpr std::string_view kResponse = R"({"object":"response","status":"completed","output":[]})";
  std::string events =
      "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"output\":[]}}\n\n";
  events += "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":";
  events += kResponse;
  events += "}\n\n";
  EXPECT_EQ(whole_of(EndpointId::kResponses, events, 5), kResponse);
}

TEST(AssembledAnswer, AnObjectOfThousandsOfMembersIsNone) {
  std::string members = R"("m":1)";
  for (int i = 0; i < 100'000; ++i) members += ",\"m" + std::to_string(i) + "\":1";
  const std::string events = R"(data: {"choices":[{"index":0,"delta":{)" + members + "}}]}\n\ndata: [DONE]\n\n";
  Converted converted = Converted::kDone;
  (void)whole_of(EndpointId::kChatCompletions, events, events.size(), &converted);
  EXPECT_EQ(converted, Converted::kNot);
}

TEST(AssembledAnswer, CallsOfAllChoicesTogetherHaveABoundThatIsLookedAtBeforeTheyAreWalked) {
  std::string calls = "{}";
  for (int i = 1; i < 262'144; ++i) calls += ",{}";
  std::string events = R"(data: {"choices":[)";
  for (int i = 0; i < 30; ++i)
    events +=
        (i == 0 ? "" : ",") + (R"({"index":)" + std::to_string(i) + R"(,"delta":{"tool_calls":[)" + calls + "]}}");
  events += "]}\n\n";
  AssembledAnswer answer(endpoint_of(EndpointId::kChatCompletions));
  Buffer in;
  in.append(events);
  answer.take(in);
  EXPECT_LE(answer.size_bytes(), 64u * 262'144 + 4'096);
  Buffer out;
  EXPECT_EQ(answer.append_to(out), Converted::kNot);
}

}  // namespace
}  // namespace sluice::openai
