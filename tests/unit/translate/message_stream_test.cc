// Streams of chats and the streams of Messages that are made of them, through the chat's own filter.
#include "translate/message_stream.h"

#include <gtest/gtest.h>

#include <string>

#include "openai/openai.h"
#include "translate/messages_to_chat.h"

namespace sluice::translate {
namespace {

const dialect::AnswerFacts kFacts{.unique = "0a", .model = "mine", .prompt_estimate = 12};

std::string chunk_of(std::string_view choice, std::string_view more = {}) {
  return std::string(
             R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,)")
      .append(choice)
      .append("}]")
      .append(more)
      .append("}\n\n");
}
std::string delta_of(std::string_view members) {
  return chunk_of(std::string(R"("delta":{)").append(members).append(R"(},"finish_reason":null)"));
}
std::string end_of(std::string_view reason, std::string_view more = {}) {
  return chunk_of(std::string(R"("delta":{},"finish_reason":")").append(reason).append("\"").append(more));
}
const std::string kUsageChunk =
    R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":)"
    R"({"prompt_tokens":100,"completion_tokens":7,"total_tokens":107,"prompt_tokens_details":{"cached_tokens":60}}})"
    "\n\n";
const std::string kDoneEvent = "data: [DONE]\n\n";

// What the client gets, an event a line without the names before them. In two pieces, split at `cut`.
std::string message_of(const std::string& in, std::size_t cut = 0, bool cut_by_us = false) {
  const openai::OpenAi chat;
  const auto filter = chat.filter(chat.endpoints()[0], {.client_wants_usage = true});
  const auto translator = MessagesToChat().events(kFacts);
  Buffer arrived, between, out;
  dialect::StreamState state = dialect::StreamState::kOpen;
  for (const std::string_view part : {std::string_view(in).substr(0, cut), std::string_view(in).substr(cut)}) {
    arrived.append(part);
    state = filter->filter(arrived, between);
    translator->translate(between.view(), out);
    between.clear();
  }
  if (cut_by_us) filter->cut(between);
  if (!cut_by_us && state != dialect::StreamState::kError) state = filter->finish(between);
  translator->translate(between.view(), out);
  if (cut_by_us || state == dialect::StreamState::kDone) translator->finish(out);
  EXPECT_EQ(translator->held_bytes(), 0u);
  std::string lines;
  for (std::string_view rest = out.view(); !rest.empty();) {
    const std::size_t name = rest.find('\n'), end = rest.find("\n\n");
    const std::string_view data = rest.substr(name + 1, end - name - 1);
    EXPECT_TRUE(rest.starts_with("event: ") &&
                data.starts_with("data: {\"type\":\"" + std::string(rest.substr(7, name - 7))))
        << rest.substr(0, end);
    lines.append(data.substr(6)).append("\n");
    rest.remove_prefix(end + 2);
  }
  return lines;
}

const std::string kStartLine =
    R"({"type":"message_start","message":{"id":"msg_0a","type":"message","role":"assistant","model":"mine","content":[],)"
    R"("stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":0,)"
    R"("cache_read_input_tokens":0,"output_tokens":0}}})"
    "\n";
std::string start_line(int index, std::string_view block) {
  return R"({"type":"content_block_start","index":)" + std::to_string(index) + R"(,"content_block":)" +
         std::string(block) + "}\n";
}
std::string delta_line(int index, std::string_view type, std::string_view member, std::string_view inside) {
  return R"({"type":"content_block_delta","index":)" + std::to_string(index) + R"(,"delta":{"type":")" +
         std::string(type) + R"(",")" + std::string(member) + R"(":")" + std::string(inside) + "\"}}\n";
}
std::string text_line(int index, std::string_view inside) { return delta_line(index, "text_delta", "text", inside); }
std::string json_line(int index, std::string_view inside) {
  return delta_line(index, "input_json_delta", "partial_json", inside);
}
std::string stop_line(int index) { return R"({"type":"content_block_stop","index":)" + std::to_string(index) + "}\n"; }
std::string call_line(int index, std::string_view id, std::string_view name) {
  return start_line(index, R"({"type":"tool_use","id":")" + std::string(id) + R"(","name":")" + std::string(name) +
                               R"(","input":{}})");
}
std::string end_lines(std::string_view reason, std::string_view sequence = "null", int input = 40, int cached = 60,
                      int output = 7) {
  return R"({"type":"message_delta","delta":{"stop_reason":")" + std::string(reason) + R"(","stop_sequence":)" +
         std::string(sequence) + R"(},"usage":{"input_tokens":)" + std::to_string(input) +
         R"(,"cache_creation_input_tokens":0,"cache_read_input_tokens":)" + std::to_string(cached) +
         R"(,"output_tokens":)" + std::to_string(output) + "}}\n" + "{\"type\":\"message_stop\"}\n";
}
const std::string kTextStart = start_line(0, R"({"type":"text","text":""})");

const std::string kHelloStream = delta_of(R"("role":"assistant","content":"")") + delta_of(R"("content":"Hel")") +
                                 delta_of(R"("content":"lo")") + delta_of(R"("content":" \"w\u00f6rld\"\n")") +
                                 end_of("stop") + kUsageChunk + kDoneEvent;
const std::string kHelloLines = kStartLine + kTextStart + text_line(0, "Hel") + text_line(0, "lo") +
                                text_line(0, R"( \"w\u00f6rld\"\n)") + stop_line(0) + end_lines("end_turn");

std::string call_delta(int index, std::string_view id, std::string_view name, std::string_view arguments) {
  std::string entry = R"({"index":)" + std::to_string(index);
  if (!id.empty()) entry += R"(,"id":")" + std::string(id) + R"(","type":"function")";
  entry += R"(,"function":{)";
  if (!name.empty()) entry += R"("name":")" + std::string(name) + "\",";
  return entry + R"("arguments":")" + std::string(arguments) + "\"}}";
}
std::string calls_of(std::string_view entries) { return delta_of(R"("tool_calls":[)" + std::string(entries) + "]"); }

TEST(MessageStream, TextIsOneBlockAndTheUsageIsTold) { EXPECT_EQ(message_of(kHelloStream), kHelloLines); }

TEST(MessageStream, EverySplitGivesTheSame) {
  const std::string calls = delta_of(R"("role":"assistant","content":null)") + delta_of(R"("reasoning_content":"Hm")") +
                            delta_of(R"("content":"\n\n")") + delta_of(R"("content":"I look.")") +
                            calls_of(call_delta(0, "c0", "f", "")) + calls_of(call_delta(0, "", "", R"({\"a\":)")) +
                            calls_of(call_delta(0, "", "", "1}")) + calls_of(call_delta(1, "c1", "g", "{}")) +
                            end_of("tool_calls") + kUsageChunk + kDoneEvent;
  for (const std::string& in : {kHelloStream, calls}) {
    const std::string whole = message_of(in);
    for (std::size_t cut = 1; cut < in.size(); ++cut) ASSERT_EQ(message_of(in, cut), whole) << cut;
  }
}

TEST(MessageStream, ThinkingHasABlockOfItsOwnAndSaysWhoseItIs) {
  EXPECT_EQ(message_of(delta_of(R"("role":"assistant","content":"","reasoning_content":"Let ")") +
                       delta_of(R"("content":"","reasoning_content":"me")") +
                       delta_of(R"("content":"","reasoning_content":" see")") + delta_of(R"("content":"\n\n")") +
                       delta_of(R"("content":"So.")") + end_of("stop") + kUsageChunk + kDoneEvent),
            kStartLine + start_line(0, R"({"type":"thinking","thinking":"","signature":""})") +
                delta_line(0, "thinking_delta", "thinking", "Let ") +
                delta_line(0, "thinking_delta", "thinking", "me") +
                delta_line(0, "thinking_delta", "thinking", " see") +
                delta_line(0, "signature_delta", "signature", "sluice:reasoning_content") + stop_line(0) +
                start_line(1, R"({"type":"text","text":""})") + text_line(1, R"(\n\n)") + text_line(1, "So.") +
                stop_line(1) + end_lines("end_turn"));
  const std::string both =
      message_of(delta_of(R"("reasoning":"x","reasoning_content":"x")") + end_of("stop") + kDoneEvent);
  EXPECT_NE(
      both.find("\"thinking\":\"x\"}}\n" + delta_line(0, "signature_delta", "signature", "sluice:reasoning_content")),
      std::string::npos)
      << both;
  EXPECT_NE(message_of(delta_of(R"("reasoning":"x")") + end_of("stop") + kDoneEvent).find("sluice:reasoning\""),
            std::string::npos);
}

TEST(MessageStream, PartsOfAContentAreToldApart) {
  EXPECT_EQ(
      message_of(delta_of(R"("content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}])") +
                 delta_of(R"("content":[{"type":"text","text":"So."}])") + end_of("stop") + kUsageChunk + kDoneEvent),
      kStartLine + start_line(0, R"({"type":"thinking","thinking":"","signature":""})") +
          delta_line(0, "thinking_delta", "thinking", "hm") + stop_line(0) +
          start_line(1, R"({"type":"text","text":""})") + text_line(1, "So.") + stop_line(1) + end_lines("end_turn"));
}

const std::string kTwoCallLines = kStartLine + call_line(0, "c0", "f") + json_line(0, R"({\"a\":\"}{\\\"\")") +
                                  json_line(0, ",\\\"b\\\":[1]}") + stop_line(0) + call_line(1, "c1", "g") +
                                  json_line(1, "{}") + stop_line(1) + end_lines("tool_use");
const std::string kCallsEnd = end_of("tool_calls") + kUsageChunk + kDoneEvent;

TEST(MessageStream, CallsInManyPiecesAreBlocks) {
  EXPECT_EQ(
      message_of(calls_of(call_delta(0, "c0", "f", "")) + calls_of(call_delta(0, "", "", R"({\"a\":\"}{\\\"\")")) +
                 calls_of(call_delta(0, "", "", ",\\\"b\\\":[1]}")) + calls_of(call_delta(1, "c1", "g", "")) +
                 calls_of(call_delta(1, "", "", "{}")) + kCallsEnd),
      kTwoCallLines);
}

TEST(MessageStream, CallsThatComeInTurnsAreSaidOneBehindTheOther) {
  EXPECT_EQ(
      message_of(calls_of(call_delta(0, "c0", "f", R"({\"a\":\"}{\\\"\")") + "," + call_delta(1, "c1", "g", "{")) +
                 calls_of(call_delta(1, "", "", "}") + "," + call_delta(0, "", "", ",\\\"b\\\":[1]}")) + kCallsEnd),
      kTwoCallLines);
}

TEST(MessageStream, PiecesThatDifferInTheirTextAloneAreCountedToTheEndOfTheCall) {
  std::string in = calls_of(call_delta(0, "c0", "f", "{")),
              lines = kStartLine + call_line(0, "c0", "f") + json_line(0, "{");
  for (const std::string piece : {R"(\"a\":)", R"(\"{\\\"\")", ",", R"(\"b\":[)", "1", "]", "}"}) {
    in += calls_of(call_delta(0, "", "", piece));
    lines += json_line(0, piece);
    if (piece == "1") in += calls_of(call_delta(1, "c1", "g", "{"));
  }
  in += calls_of(call_delta(1, "", "", "}")) + calls_of(call_delta(0, "", "", "}"));
  EXPECT_EQ(message_of(in + kCallsEnd), lines + stop_line(0) + call_line(1, "c1", "g") + json_line(1, "{") +
                                            json_line(1, "}") + stop_line(1) + end_lines("tool_use"));
}

TEST(MessageStream, PiecesOfTwoCallsInOneChunkAreAllKept) {
  const auto both = [](std::string_view piece) {
    return calls_of(call_delta(0, "", "", piece) + "," + call_delta(1, "", "", "7"));
  };
  EXPECT_EQ(message_of(calls_of(call_delta(0, "c0", "f", "[")) + calls_of(call_delta(1, "c1", "g", "[")) + both("1") +
                       both("2") + both("3") + calls_of(call_delta(0, "", "", "]")) +
                       calls_of(call_delta(1, "", "", "]")) + kCallsEnd),
            kStartLine + call_line(0, "c0", "f") + json_line(0, "[") + json_line(0, "1") + json_line(0, "2") +
                json_line(0, "3") + json_line(0, "]") + stop_line(0) + call_line(1, "c1", "g") + json_line(1, "[777") +
                json_line(1, "]") + stop_line(1) + end_lines("tool_use"));
}

TEST(MessageStream, ArgumentsInAStringOfTheirOwnAreSaidToTheEnd) {
  EXPECT_EQ(
      message_of(calls_of(call_delta(0, "c0", "f", R"(\"{)")) + calls_of(call_delta(0, "", "", R"(}\")")) + kCallsEnd),
      kStartLine + call_line(0, "c0", "f") + json_line(0, R"(\"{)") + json_line(0, R"(}\")") + stop_line(0) +
          end_lines("tool_use"));
}

TEST(MessageStream, TheRestOfACallWithoutANumberIsThatCalls) {
  EXPECT_EQ(message_of(calls_of(R"({"id":"c0","function":{"name":"f","arguments":"{"}})") +
                       calls_of(R"({"function":{"arguments":"}"}})") + kCallsEnd),
            kStartLine + call_line(0, "c0", "f") + json_line(0, "{") + json_line(0, "}") + stop_line(0) +
                end_lines("tool_use"));
}

TEST(MessageStream, WhatCallsAreCalledIsCountedAsHeld) {
  const auto translator = MessagesToChat().events(kFacts);
  Buffer out;
  translator->translate(calls_of(call_delta(0, std::string(10'000, 'i'), std::string(10'000, 'n'), "{")), out);
  EXPECT_GT(translator->held_bytes(), 20'000U);
}

TEST(MessageStream, TextBetweenPiecesOfACallWaitsForItsEnd) {
  EXPECT_EQ(message_of(calls_of(call_delta(0, "c0", "f", "{")) + delta_of(R"("content":"and")") +
                       calls_of(call_delta(0, "", "", "}")) + delta_of(R"("content":" so")") +
                       delta_of(R"("content":"!")") + delta_of(R"("content":"?")") + kCallsEnd),
            kStartLine + call_line(0, "c0", "f") + json_line(0, "{") + json_line(0, "}") + stop_line(0) +
                start_line(1, R"({"type":"text","text":""})") + text_line(1, "and") + text_line(1, " so") +
                text_line(1, "!") + text_line(1, "?") + stop_line(1) + end_lines("tool_use"));
}

TEST(MessageStream, CallsAreToldByTheirIdsWhereTheirNumbersSayNothing) {
  const std::string lines = kStartLine + call_line(0, "c0", "f") + json_line(0, "{}") + stop_line(0) +
                            call_line(1, "c1", "g") + json_line(1, "{}") + stop_line(1) + end_lines("tool_use");
  EXPECT_EQ(message_of(calls_of(call_delta(0, "c0", "f", "{}")) + calls_of(call_delta(0, "c1", "g", "{}")) + kCallsEnd),
            lines);
  EXPECT_EQ(message_of(calls_of(R"({"id":"c0","function":{"name":"f","arguments":"{}"}},{"id":"c1","function":)"
                                R"({"name":"g","arguments":"{}"}})") +
                       end_of("stop") + kUsageChunk + kDoneEvent),
            lines)
      << "and 'stop' beside calls is their end";
}

TEST(MessageStream, ACallWithoutIdOrArgumentsIsOne) {
  EXPECT_EQ(
      message_of(
          calls_of(
              R"({"index":0,"function":{"name":"f"}},{"index":1,"function":{"name":"g","arguments":{"a":"\n"}}})") +
          kCallsEnd),
      kStartLine + call_line(0, "toolu_0a_0", "f") + stop_line(0) + call_line(1, "toolu_0a_1", "g") +
          json_line(1, R"({\"a\":\"\\n\"})") + stop_line(1) + end_lines("tool_use"));
}

TEST(MessageStream, ArgumentsThatAreSaidAgainAtTheEndAreSaidOnce) {
  EXPECT_EQ(message_of(calls_of(call_delta(0, "c0", "f", "{}")) + calls_of(call_delta(0, "c0", "f", "{}")) + kCallsEnd),
            kStartLine + call_line(0, "c0", "f") + json_line(0, "{}") + stop_line(0) + end_lines("tool_use"));
}

TEST(MessageStream, ACallThatBrokeOffIsSaidAsFarAsItCame) {
  EXPECT_EQ(message_of(calls_of(call_delta(0, "c0", "f", R"({\"a)") + "," + call_delta(1, "c1", "g", "{")) +
                       end_of("length") + kUsageChunk + kDoneEvent),
            kStartLine + call_line(0, "c0", "f") + json_line(0, R"({\"a)") + stop_line(0) + call_line(1, "c1", "g") +
                json_line(1, "{") + stop_line(1) + end_lines("max_tokens"));
}

TEST(MessageStream, WhatEndedItIsTold) {
  const auto end = [](const std::string& events) {
    const std::string lines = message_of(delta_of(R"("content":"x")") + events + kUsageChunk + kDoneEvent);
    return lines.substr(lines.rfind(R"({"type":"message_delta")"));
  };
  EXPECT_EQ(end(end_of("length")), end_lines("max_tokens"));
  EXPECT_EQ(end(end_of("content_filter")), end_lines("refusal"));
  EXPECT_EQ(end(end_of("stop", R"(,"stop_reason":"END")")), end_lines("stop_sequence", "\"END\""));
  EXPECT_EQ(end(end_of("stop", R"(,"matched_stop":"\n")")), end_lines("stop_sequence", "\"\\n\""));
  EXPECT_EQ(end(end_of("stop", R"(,"stop_reason":128009)")), end_lines("end_turn"));
  EXPECT_EQ(end(end_of("eos_token")), end_lines("end_turn"));
  EXPECT_EQ(end(""), end_lines("end_turn"));
  EXPECT_EQ(end(delta_of(R"("refusal":"No.")") + end_of("stop")), end_lines("refusal"));
}

TEST(MessageStream, UsageThatNobodyToldIsCounted) {
  const std::string lines = message_of(delta_of(R"("content":"Hello there, world")") + end_of("stop") + kDoneEvent);
  EXPECT_TRUE(lines.ends_with(end_lines("end_turn", "null", 12, 0, 4))) << lines;
}

TEST(MessageStream, AnAnswerOfNothingIsAMessage) {
  EXPECT_EQ(message_of(delta_of(R"("role":"assistant","content":"")") + delta_of(R"("content":"\n")") + end_of("stop") +
                       kUsageChunk + kDoneEvent),
            kStartLine + end_lines("end_turn"));
}

TEST(MessageStream, AnErrorEndsItInTheClientsForm) {
  const std::string lines =
      message_of(delta_of(R"("content":"x")") + "data: {\"error\":{\"message\":\"boom\",\"code\":500}}\n\n");
  EXPECT_TRUE(lines.ends_with(text_line(0, "x") + R"({"type":"error","error":{"type":"api_error","message":"boom"}})"
                                                  "\n"))
      << lines;
}

TEST(MessageStream, ACutIsTheEndOfACap) {
  const std::string lines = message_of(delta_of(R"("content":"x")"), 0, true);
  EXPECT_NE(lines.find(R"("stop_reason":"max_tokens")"), std::string::npos) << lines;
  EXPECT_TRUE(lines.ends_with("{\"type\":\"message_stop\"}\n"));
}

}  // namespace
}  // namespace sluice::translate
