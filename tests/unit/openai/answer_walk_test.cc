#include "openai/answer_walk.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace sluice::openai {
namespace {

using Form = AnswerWalk::Form;

struct Seen {
  Form form = Form::kOpen;
  bool answer = false, error = false;
  Ending ending = Ending::kComplete;
  std::uint64_t prompt = 0, cached = 0, completion = 0, text = 0;
  std::string model;
  bool operator==(const Seen&) const = default;
};

Seen walk(EndpointId id, std::string_view text, std::size_t first, std::size_t step) {
  AnswerWalk walk(endpoint_of(id));
  walk.take(text.substr(0, first));
  for (std::size_t at = std::min(first, text.size()); at < text.size(); at += step) walk.take(text.substr(at, step));
  Seen seen{.form = walk.form(),
            .answer = walk.is_answer(),
            .error = walk.says_error(),
            .ending = walk.ending(),
            .text = walk.text_bytes(),
            .model = std::string(walk.model())};
  if (const auto told = walk.told()) {
    seen.prompt = told->usage.prompt_tokens;
    seen.cached = told->usage.cached_tokens;
    seen.completion = told->usage.completion_tokens;
  }
  return seen;
}

Seen walk(EndpointId id, std::string_view text) { return walk(id, text, text.size(), 1); }
Seen chat(std::string_view text) { return walk(EndpointId::kChatCompletions, text); }

constexpr std::string_view kChoice =
    R"("choices":[{"index":0,"message":{"role":"assistant","content":"a \"usage\":{\"prompt_tokens\":1} b"},"finish_reason":"stop"}])";
constexpr std::string_view kUsage = R"("usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13})";

std::string object(std::initializer_list<std::string_view> members) {
  std::string text = "{";
  for (const std::string_view member : members) {
    if (text.size() > 1) text += ",";
    text += member;
  }
  return text + "}";
}

const std::string kAnswers[] = {
    object({R"("id":"x","object":"chat.completion","model":"org\/m\u00e9")", kChoice, kUsage}),
    object({kUsage, kChoice}),
    object(
        {R"("choices":[{"message":{"content":"x","tool_calls":[{"function":{"name":"f","arguments":"{\"a\":[1,2]}"}}]},"logprobs":{"content":[{"token":"x","bytes":[1]}]}}])",
         R"("\u0075sage":{"prompt\u005ftokens":9,"completion_tokens":4})"}),
    object(
        {R"("choices":[{"message":{"content":"\u00e9\n\\\"","usage":{"prompt_tokens":1}},"usage":{"prompt_tokens":5,"completion_tokens":2}},{"text":"t","usage":{"prompt_tokens":5,"completion_tokens":3}}])",
         R"("usage":null)"}),
    object({kChoice, R"("x_groq":{"id":"r","usage":{"prompt_tokens":7,"completion_tokens":3}})"}),
    object(
        {kChoice, kUsage,
         R"("x_provider":{"usage":{"prompt_tokens":1,"completion_tokens":1}},"metadata":[{"usage":{"prompt_tokens":1}}])"}),
    object({R"("data":[{"embedding":[0.1,-2e-3,[],{}],"usage":{"prompt_tokens":1}}])",
            R"("usage":{"prompt_tokens":7,"total_tokens":7})"}),
    object(
        {R"("object":"response","status":"incomplete","output":[{"type":"message","id":"m","content":[{"type":"output_text","text":"abcd"}]},{"type":"function_call","arguments":"efgh"}],"error":null,"usage":{"input_tokens":3,"output_tokens":2})"}),
    R"({"error":{"message":"no","usage":{"prompt_tokens":1}}})",
    R"({"error":"no"})",
    R"({"object":"error","message":"no"})",
    R"({"error":""})",
    " \r\n\t{ \"choices\" : [ ] , \"usage\" : { \"prompt_tokens\" : 3 , \"completion_tokens\" : 1 } } \n",
    "\xEF\xBB\xBF{\"choices\":[]}",
    R"({"choices":[{"message":{"content":"cut off)",
    R"({"choices":[]}{"choices":[]})",
    R"({"choices":[]} x)",
    R"({"choices":[]])",
    R"([{"choices":[]}])",
    "null",
    "",
    "<html>{}</html>",
    R"({"choices":[{"message":{"content":"\)",
    R"({"a":"\u","choices":[],"b":{"c":[}]}})",
};

TEST(AnswerWalk, C42SaysTheSameForEverySplit) {
  for (const std::string& text : kAnswers) {
    for (const EndpointId id : {EndpointId::kChatCompletions, EndpointId::kEmbeddings, EndpointId::kResponses}) {
      const Seen whole = walk(id, text);
      for (std::size_t first = 0; first <= text.size(); ++first) {
        EXPECT_EQ(walk(id, text, first, text.size() + 1), whole) << first << " " << text;
        EXPECT_EQ(walk(id, text, first, 1), whole) << first << " " << text;
      }
      EXPECT_EQ(walk(id, text, 0, 3), whole) << text;
    }
  }
}

TEST(AnswerWalk, C42MutatedAnswersToo) {
  std::mt19937 random(20261127);
  const auto below = [&random](std::size_t bound) { return bound == 0 ? 0 : random() % bound; };
  for (int i = 0; i < 20'000; ++i) {
    std::string text = kAnswers[below(std::size(kAnswers))];
    for (std::size_t n = 1 + below(3); n != 0; --n) {
      constexpr std::string_view kTokens[] = {"{", "}", "[",           "]",    "\"",    "\\",
                                              ",", ":", "\"usage\":{", "null", "\\u00", "\xFF"};
      const std::size_t at = below(text.size() + 1);
      if (below(2) == 0)
        text.insert(at, kTokens[below(std::size(kTokens))]);
      else
        text.erase(at, below(6));
    }
    const Seen whole = chat(text);
    ASSERT_EQ(walk(EndpointId::kChatCompletions, text, below(text.size() + 1), 1 + below(9)), whole) << text;
    ASSERT_LE(whole.text, text.size());
  }
}

TEST(AnswerWalk, C42FindsUsageWhereverItStands) {
  for (int i : {0, 1, 5}) {
    const Seen seen = chat(kAnswers[i]);
    EXPECT_EQ(seen.form, Form::kWhole) << kAnswers[i];
    EXPECT_TRUE(seen.answer);
    EXPECT_EQ(seen.prompt, 9u) << kAnswers[i];
    EXPECT_EQ(seen.completion, 4u) << kAnswers[i];
  }
  EXPECT_EQ(chat(kAnswers[0]).model, "org/m\xC3\xA9");
  EXPECT_EQ(chat(kAnswers[2]).prompt, 9u);  // names may be escaped
  EXPECT_EQ(walk(EndpointId::kEmbeddings, kAnswers[6]).prompt, 7u);
}

TEST(AnswerWalk, C42PlacesThatServersUseCountWhereTheTopLevelSaysNothing) {
  EXPECT_EQ(chat(kAnswers[3]).prompt, 5u);
  EXPECT_EQ(chat(kAnswers[3]).completion, 5u);  // of both choices
  EXPECT_EQ(chat(kAnswers[4]).prompt, 7u);
  EXPECT_EQ(chat(object({kUsage, kChoice, R"("x_groq":{"usage":{"prompt_tokens":7,"completion_tokens":3}})"})).prompt,
            9u);
  EXPECT_EQ(chat(object({kUsage, R"("choices":[{"usage":{"prompt_tokens":7,"completion_tokens":3}}])"})).prompt, 9u);
  EXPECT_EQ(chat(object({kChoice, R"("other":{"usage":{"prompt_tokens":7}},"message":{"usage":{"prompt_tokens":7}})"}))
                .prompt,
            0u);
  EXPECT_EQ(chat(object({kUsage, kChoice, R"("usage":null,"usage":{"prompt_tokens":0},"usage":[])"})).prompt, 9u);
}

TEST(AnswerWalk, CountsWhatWasGeneratedAsText) {
  EXPECT_EQ(
      chat(R"({"id":"12345","choices":[{"message":{"role":"assistant","content":"12345","refusal":null}}]})").text, 5u);
  EXPECT_EQ(chat(R"({"choices":[{"text":"123"},{"text":"45"}]})").text, 5u);
  EXPECT_EQ(
      chat(
          R"({"choices":[{"message":{"tool_calls":[{"id":"c1","type":"function","function":{"name":"ab","arguments":"{\"\"}"}}]}}]})")
          .text,
      6u);
  EXPECT_EQ(chat(R"({"choices":[{"message":{"content":"1"},"logprobs":{"content":[{"token":"12345"}]}}]})").text, 1u);
  EXPECT_EQ(walk(EndpointId::kResponses, kAnswers[7]).text, 8u);
  EXPECT_EQ(walk(EndpointId::kResponses, kAnswers[7]).ending, Ending::kIncomplete);
}

TEST(AnswerWalk, C44KnowsWhatIsNoAnswer) {
  for (std::size_t i = 14; i < std::size(kAnswers); ++i) {
    const Seen seen = chat(kAnswers[i]);
    EXPECT_FALSE(seen.form == Form::kWhole && seen.answer && !seen.error) << kAnswers[i];
  }
  for (const char* text : {"{}", R"({"choices":null})", R"({"choices":{}})", R"({"data":[]})", R"({"detail":"x"})"})
    EXPECT_FALSE(chat(text).answer) << text;
  for (std::size_t i : {8, 9, 10}) EXPECT_TRUE(chat(kAnswers[i]).error) << kAnswers[i];
  EXPECT_FALSE(chat(kAnswers[11]).error);
  EXPECT_FALSE(walk(EndpointId::kResponses, kAnswers[7]).error);
}

TEST(AnswerWalk, C42HoldsLittleOfALargeAnswer) {
  AnswerWalk walk(endpoint_of(EndpointId::kEmbeddings));
  walk.take(R"({"usage":{"prompt_tokens":7,"note":")");
  const std::string filler(1 << 20, 'x');
  for (int i = 0; i < 64; ++i) walk.take(filler);  // no usage object is so long
  walk.take(R"("},"data":[)");
  for (int i = 0; i < 100'000; ++i) walk.take(R"({"embedding":[0.25,-0.5]},)");
  walk.take(R"({}],"usage":{"prompt_tokens":9}})");
  EXPECT_EQ(walk.form(), Form::kWhole);
  ASSERT_TRUE(walk.told());
  EXPECT_EQ(walk.told()->usage.prompt_tokens, 9u);
}

TEST(AnswerKind, C43TheBytesDecide) {
  const auto kind = [](std::string_view bytes) { return dialect::kind_of(bytes); };
  for (const char* text : {"", " ", "\r\n\t", "\xEF\xBB\xBF", "d", "dat", "data", "ev", "event", "i", "retr"})
    EXPECT_EQ(kind(text), dialect::AnswerKind::kUndecided) << text;
  for (const char* text : {"{", " {\"a\"", "\xEF\xBB\xBF{", "\n\n{"})
    EXPECT_EQ(kind(text), dialect::AnswerKind::kObject) << text;
  for (const char* text : {"[]", " [{", "[music]"}) EXPECT_EQ(kind(text), dialect::AnswerKind::kArray) << text;
  for (const char* text :
       {":", ": ping\n\n", "data:", "data: {}", "\n\ndata:x", "event: x", "id: 1", "retry:1", "data\n",
        "\xEF\xBB\xBF"
        "data:"})
    EXPECT_EQ(kind(text), dialect::AnswerKind::kEvents) << text;
  for (const char* text :
       {"null", "<html>", "\"x\"", "7", "error: x", "dating", "idle", "internal", "retry later", "OK"})
    EXPECT_EQ(kind(text), dialect::AnswerKind::kOther) << text;
}

// The ids of a response and of its items, and of nothing deeper.
TEST(AnswerWalk, C50TellsUnderWhichIdsAResponseIsKept) {
  const std::string answer =
      R"({"id":"resp_1","object":"response","status":"completed","output":[{"type":"reasoning","id":"rs_1"},)"
      R"({"content":[{"id":"deep","text":"x"}],"id":"msg_1"},{"id":"a\u005fb"},{"id":7},{"id":"rs_1"}],"tools":[{"id":"t"}],)"
      R"("error":null,"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}})";
  for (std::size_t step = 1; step <= answer.size(); step += 7) {
    AnswerWalk walk(endpoint_of(EndpointId::kResponses));
    for (std::size_t at = 0; at < answer.size(); at += step) walk.take(std::string_view(answer).substr(at, step));
    ASSERT_NE(walk.kept_ids(), nullptr);
    EXPECT_EQ(walk.kept_ids()->answer(), "resp_1");
    EXPECT_EQ(walk.kept_ids()->items(), (std::vector<std::string>{"rs_1", "msg_1"}));
    EXPECT_EQ(walk.kept_ids()->count(), 3u);
    EXPECT_EQ(walk.text_bytes(), 1u);
  }
  EXPECT_EQ(AnswerWalk(endpoint_of(EndpointId::kChatCompletions)).kept_ids(), nullptr);
}

TEST(AnswerWalk, WhatIsKeptIsAnAnswerWhateverItHoldsAndChargesNothing) {
  for (
      const char* kept :
      {R"({"id":"resp_1","object":"response.deleted","deleted":true})", R"({"object":"list","data":[]})",
       R"({"object":"response","status":"failed","error":{"code":"server_error","message":"m"},"usage":{"input_tokens":1}})",
       R"({"error":{"code":"server_error","message":"m"},"object":"response"})"}) {
    const Seen seen = walk(EndpointId::kResponse, kept);
    EXPECT_TRUE(seen.answer && seen.form == Form::kWhole) << kept;
    EXPECT_FALSE(seen.error) << kept;
    EXPECT_EQ(seen.prompt + seen.completion, 0u) << kept;
  }
  EXPECT_TRUE(walk(EndpointId::kResponse, R"({"error":{"message":"no such path"}})").error);
}

TEST(AnswerWalk, ReadsARankingWhateverItsSplit) {
  const std::string text =
      R"({"results":[{"usage":{"total_tokens":99}}],"meta":{"billed_units":{"search_units":1,"input_tokens":3},"tokens":{"input_tokens":7},"x":[{"tokens":{"input_tokens":50}}]}})";
  const Seen whole = walk(EndpointId::kRerank, text);
  EXPECT_TRUE(whole.answer);
  EXPECT_EQ(whole.prompt, 7u) << "not what is billed, where both are told";
  for (std::size_t first = 0; first < text.size(); ++first) EXPECT_EQ(walk(EndpointId::kRerank, text, first, 1), whole);
  EXPECT_FALSE(walk(EndpointId::kModerations, R"({"data":[]})").answer);
}

}  // namespace
}  // namespace sluice::openai
