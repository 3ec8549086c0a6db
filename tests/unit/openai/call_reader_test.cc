#include "openai/call_reader.h"

#include <gtest/gtest.h>
#include <simdjson.h>

namespace sluice::openai {
namespace {

// A body with the padding that the reader asks for.
class Padded {
 public:
  explicit Padded(std::string_view text) {
    buffer_.append(text);
    (void)buffer_.prepare(simdjson::SIMDJSON_PADDING);
  }
  std::string_view view() const { return buffer_.view(); }

 private:
  Buffer buffer_;
};

Result<CallBody> read(EndpointId id, std::string_view text) {
  wire::Parser parser;
  return read_call(endpoint_of(id), Padded(text).view(), parser);
}

std::string edited(EndpointId id, std::string_view text, const Edits& edits) {
  wire::Parser parser;
  const Padded body(text);
  const Result<CallBody> call = read_call(endpoint_of(id), body.view(), parser);
  if (!call) return std::string("error: ") + call.error().what;
  EditedBody into;
  edit_body(endpoint_of(id), *call, body.view(), edits, into);
  std::string all;
  for (std::size_t i = 0; i < into.count; ++i) all += into.parts[i];
  return all;
}

struct Refused {
  const char* body;
  const char* says;  // part of the message
  EndpointId endpoint = EndpointId::kChatCompletions;
};

TEST(CallReader, RefusesWhatItCannotReadExactly) {
  const std::string deep = R"({"model":"m","messages":)" + std::string(200, '[') + std::string(200, ']') + "}";
  const std::string long_name = R"({"model":")" + std::string(257, 'm') + "\"}";
  const Refused cases[] = {
      {"", "is empty"},
      {"   ", "is empty"},
      {"[]", "must be a JSON object"},
      {"\"x\"", "must be a JSON object"},
      {"null", "must be a JSON object"},
      {"{", "JSON"},
      {R"({"model":"m")", "JSON"},
      {R"({"model":"m",})", "JSON"},
      {R"({"model":"m" "stream":true})", "JSON"},
      {R"({"model":"m"}{"model":"n"})", "follow"},
      {R"({"model":"m"}{"a":1}{"model":"n"})", "follow"},
      {R"({"model":"m"} x)", "follow"},
      {R"({"model":"m"},)", "follow"},
      {R"({"model":"m"}})", "follow"},
      {R"({"model":"m","messages":[]}]})", "follow"},
      {"\xEF\xBB\xBF{\"model\":\"m\"}", "byte order mark"},
      {"\xFF\xFE{", "byte order mark"},
      {R"({"model":"m","max_tokens":9223372036854775807})", "'max_tokens' must be a whole number of at most"},
      {R"({"model":"m","max_tokens":18446744073709551616})", "'max_tokens' must be a whole number of at most"},
      {R"({"model":"m","max_tokens":-5})", "'max_tokens' must be a whole number from 1 up; the one given is negative"},
      {R"({"model":"m","max_completion_tokens":0.5})",
       "'max_completion_tokens' must be a whole number; the one given has a fraction"},
      {R"({"model":"m","model":"n"})", "'model' occurs twice"},
      {R"({"model":"m","\u006dodel":"n"})", "'model' occurs twice"},
      {R"({"model":"m","Model":"n"})", "'model' occurs twice"},
      {R"({"Model":"m"})", "case-sensitive"},
      {R"({"model":"m","STREAM":true})", "'stream'"},
      {"{\"model\":\"m\",\"\xC5\xBFtream\":true}", "'stream'"},
      {"{\"model\":\"m\",\"max_to\xE2\x84\xAA"
       "ens\":1}",
       "'max_tokens'"},
      {R"({"model":"m","max_tokens":1,"max_tokens":9})", "'max_tokens' occurs twice"},
      {R"({"model":"m","stream":true,"stream":false})", "'stream' occurs twice"},
      {R"({"model":"m","stream_options":{"include_usage":true,"include_usage":false}})", "occurs twice"},
      {R"({"model":"m","stream_options":{"include_usage":true,"include_us\u0061ge":false}})", "occurs twice"},
      {R"({"model":"m","stream_options":{"Include_Usage":true}})", "case"},
      {R"({"model":""})", "'model' must be"},
      {R"({"model":7})", "'model' must be"},
      {R"({"model":null})", "'model' must be"},
      {R"({"model":["m"]})", "'model' must be"},
      {R"({"model":"\ud800"})", "JSON"},
      {R"({"model":"\q"})", "JSON"},
      {long_name.c_str(), "'model' must be"},
      {R"({"model":"m","stream":"true"})", "'stream' must be"},
      {R"({"model":"m","stream":1})", "'stream' must be"},
      {R"({"model":"m","stream":truex})", "'stream' must be"},
      {R"({"model":"m","stream_options":[]})", "'stream_options' must be"},
      {R"({"model":"m","stream_options":true})", "'stream_options' must be"},
      {R"({"model":"m","stream_options":{"include_usage":1}})", "include_usage"},
      {R"({"model":"m","max_tokens":"5"})", "'max_tokens' must be"},
      {R"({"model":"m","max_tokens":1.5})", "'max_tokens' must be"},
      {R"({"model":"m","max_tokens":1e300})", "'max_tokens' must be"},
      {R"({"model":"m","max_completion_tokens":{}})", "'max_completion_tokens' must be"},
      {R"({"model":"m","n":0})", "'n' must be"},
      {R"({"model":"m","n":129})", "'n' must be"},
      {R"({"model":"m","n":-1})", "'n' must be"},
      {R"({"model":"m","n":1.5})", "'n' must be"},
      {R"({"model":"m","messages":"hi"})", "'messages' must be"},
      {R"({"model":"m","messages":[{"content":"a"}})", "JSON"},
      {R"({"model":"m","messages":[nul]})", "JSON"},
      {"{\"model\":\"m\",\"x\":\"\xFF\"}", "JSON"},
      {"{\"model\":\"m\",\"x\":\"a\nb\"}", "JSON"},
      {deep.c_str(), "nests too deeply"},
      {R"({"model":"m","background":7})", "'background' must be", EndpointId::kResponses},
      {R"({"model":"m","background":true,"store":false})", "'store'", EndpointId::kResponses},
      {R"({"model":"m","previous_response_id":7})", "'previous_response_id' must be", EndpointId::kResponses},
      {R"({"model":"m","max_output_tokens":"x"})", "'max_output_tokens' must be", EndpointId::kResponses},
      {R"({"model":"m","best_of":0})", "'best_of' must be", EndpointId::kCompletions},
      {R"({"model":"m","prompt_cache_key":7})", "'prompt_cache_key' must be"},
      {R"({"model":"m","prompt_cache_key":"a","prompt_\u0063ache_key":"b"})", "'prompt_cache_key' occurs twice"},
  };
  for (const Refused& c : cases) {
    SCOPED_TRACE(c.body);
    const Result<CallBody> call = read(c.endpoint, c.body);
    ASSERT_FALSE(call);
    EXPECT_EQ(call.error().kind, ErrorKind::kBadRequest);
    EXPECT_EQ(call.error().origin, Origin::kClient);
    EXPECT_NE(std::string_view(call.error().what).find(c.says), std::string_view::npos) << call.error().what;
  }
}

TEST(CallReader, ReadsWhatACallAsksFor) {
  const Result<CallBody> call =
      read(EndpointId::kChatCompletions,
           R"( { "model" : "org\/m:\u0074ag" , "stream":true,"n":3,"max_tokens":50,"max_completion_tokens":4.0e1,
      "stream_options":{"x":[1,{"a":2}],"include_usage":true},"temperature":1e-3,"tools":[]} )");
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_EQ(call->model, "org/m:tag");
  EXPECT_TRUE(call->stream);
  EXPECT_TRUE(call->wants_usage);
  EXPECT_EQ(call->choices, 3u);
  EXPECT_EQ(call->output_cap, 40u);
  EXPECT_EQ(call->cap_count, 2u);
  EXPECT_EQ(call->object_begin, 1u);
}

TEST(CallReader, TakesNullForAbsent) {
  const Result<CallBody> call =
      read(EndpointId::kChatCompletions,
           R"({"model":"m","stream":null,"n":null,"max_tokens":null,"stream_options":null,"tools":null})");
  ASSERT_TRUE(call) << call.error().what;
  EXPECT_FALSE(call->stream);
  EXPECT_EQ(call->choices, 1u);
  EXPECT_EQ(call->output_cap, std::nullopt);
  EXPECT_TRUE(read(EndpointId::kResponses, R"({"model":"m","background":false,"previous_response_id":null})"));
  EXPECT_TRUE(read(EndpointId::kResponses, R"({"model":"m","background":true,"store":null})")->background);
}

TEST(CallReader, MembersOfOtherEndpointsAreNotItsOwn) {
  EXPECT_TRUE(read(EndpointId::kEmbeddings, R"({"model":"m","stream":"x","n":[],"n":0,"Stream":1})"));
  EXPECT_TRUE(read(EndpointId::kChatCompletions, R"({"model":"m","background":true,"best_of":0})"));
}

TEST(CallReader, NoCapBelowOneIsACap) {
  for (const char* value : {"0", "-1", "-1.0"}) {
    const Result<CallBody> call =
        read(EndpointId::kChatCompletions, std::string(R"({"model":"m","max_tokens":)") + value + "}");
    ASSERT_TRUE(call);
    EXPECT_EQ(call->output_cap, std::nullopt);
    EXPECT_EQ(call->cap_count, 1u);
  }
}

TEST(CallReader, CountsPromptsOfCompletions) {
  const auto choices = [](const char* body) {
    const Result<CallBody> call = read(EndpointId::kCompletions, body);
    return call ? call->choices : 0;
  };
  EXPECT_EQ(choices(R"({"model":"m","prompt":"a"})"), 1u);
  EXPECT_EQ(choices(R"({"model":"m","prompt":["a","b","c"],"n":2})"), 6u);
  EXPECT_EQ(choices(R"({"model":"m","prompt":[1,2,3]})"), 1u);
  EXPECT_EQ(choices(R"({"model":"m","prompt":[[1,2],[3]]})"), 2u);
  EXPECT_EQ(choices(R"({"model":"m","prompt":[],"best_of":4,"n":2})"), 4u);
}

TEST(CallReader, EstimatesThePromptByItsText) {
  const auto estimate = [](EndpointId id, std::string_view body) {
    const Result<CallBody> call = read(id, body);
    return call ? call->prompt_estimate : 9999;
  };
  EXPECT_EQ(
      estimate(EndpointId::kChatCompletions, R"({"model":"m","messages":[{"role":"user","content":"12345678"}]})"), 2u);
  EXPECT_EQ(
      estimate(EndpointId::kChatCompletions, R"({"model":"m","messages":[{"role":"user","content":"123456789"}]})"),
      3u);
  EXPECT_EQ(estimate(EndpointId::kChatCompletions,
                     R"({"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"1234"}]}]})"),
            1u);
  EXPECT_EQ(
      estimate(
          EndpointId::kChatCompletions,
          R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,)" +
              std::string(10000, 'A') + R"("}},{"type":"input_audio","input_audio":{"data":")" +
              std::string(10000, 'A') + R"("}}]}]})"),
      0u);
  EXPECT_EQ(estimate(EndpointId::kCompletions, R"({"model":"m","prompt":["1234","1234"]})"), 2u);
  EXPECT_EQ(estimate(EndpointId::kEmbeddings, R"({"model":"m","input":[1,2,3,4,5]})"), 5u);
  EXPECT_EQ(estimate(EndpointId::kEmbeddings, R"({"model":"m","input":"12345678"})"), 2u);
  EXPECT_EQ(
      estimate(
          EndpointId::kResponses,
          R"({"model":"m","instructions":"1234","input":[{"role":"user","content":[{"type":"input_text","text":"1234"}]}]})"),
      2u);
  EXPECT_EQ(estimate(EndpointId::kChatCompletions, R"({"model":"m","tools":[{"a":"b"}]})"), 3u);
}

TEST(CallReader, IsReusedAfterAnErrorAndAfterALargeBody) {
  wire::Parser parser;
  const Endpoint& chat = endpoint_of(EndpointId::kChatCompletions);
  const Padded bad("{\"model\":"), good(R"({"model":"m"})");
  const Padded large(R"({"model":"big","messages":[{"content":")" + std::string(9 << 20, 'x') + "\"}]}");
  EXPECT_FALSE(read_call(chat, bad.view(), parser));
  EXPECT_TRUE(read_call(chat, good.view(), parser));
  EXPECT_EQ(read_call(chat, large.view(), parser)->model, "big");
  EXPECT_EQ(read_call(chat, good.view(), parser)->model, "m");
}

TEST(EditBody, PutsTheModelInWhereTheBodyNamesNone) {
  EXPECT_EQ(edited(EndpointId::kEmbeddings, R"({"input":"x"})", {.model = "a\"b"}), R"({"model":"a\"b","input":"x"})");
  EXPECT_EQ(edited(EndpointId::kChatCompletions, "{ }", {.ask_for_usage = true, .model = "m"}),
            R"({"stream_options":{"include_usage":true},"model":"m" })");
}

TEST(EditBody, LeavesABodyWithoutEditsInOnePiece) {
  EXPECT_EQ(edited(EndpointId::kChatCompletions, R"( {"model":"m"} )", {}), R"( {"model":"m"} )");
}

TEST(EditBody, C17TouchesNothingButTheEditedMembers) {
  const std::string body =
      R"({ "z":1.50, "model" : "a" ,"x":"\u00e9","max_tokens": 1e3 ,"stream_options" : { "k":[ ] } , "y":-0 })";
  EXPECT_EQ(
      edited(EndpointId::kChatCompletions, body, {.ask_for_usage = true, .clamp_output_to = 10, .model = "b\"c"}),
      R"({ "z":1.50, "model" : "b\"c" ,"x":"\u00e9","max_tokens": 10 ,"stream_options" : {"include_usage":true, "k":[ ] } , "y":-0 })");
}

struct Edit {
  const char* body;
  const char* edited;
};

TEST(EditBody, AsksForUsage) {
  const Edit cases[] = {
      {R"({"model":"m"})", R"({"stream_options":{"include_usage":true},"model":"m"})"},
      {R"({"model":"m","stream_options":null})", R"({"model":"m","stream_options":{"include_usage":true}})"},
      {R"({"model":"m","stream_options":{}})", R"({"model":"m","stream_options":{"include_usage":true}})"},
      {R"({"model":"m","stream_options":{ }})", R"({"model":"m","stream_options":{"include_usage":true }})"},
      {R"({"model":"m","stream_options":{"a":1}})", R"({"model":"m","stream_options":{"include_usage":true,"a":1}})"},
      {R"({"model":"m","stream_options":{"include_usage":false}})",
       R"({"model":"m","stream_options":{"include_usage":true}})"},
      {R"({"model":"m","stream_options":{"include_usage": null }})",
       R"({"model":"m","stream_options":{"include_usage": true }})"},
      {R"({"model":"m","stream_options":{"include_\u0075sage":false}})",
       R"({"model":"m","stream_options":{"include_\u0075sage":true}})"},
      {R"({"model":"m","stream_options":{"include_usage":true}})",
       R"({"model":"m","stream_options":{"include_usage":true}})"},
  };
  for (const Edit& c : cases)
    EXPECT_EQ(edited(EndpointId::kChatCompletions, c.body, {.ask_for_usage = true}), c.edited);
  EXPECT_EQ(edited(EndpointId::kResponses, R"({"model":"m"})", {.ask_for_usage = true}), R"({"model":"m"})");
}

TEST(EditBody, ClampsEveryCapAndInsertsTheEndpointsOwn) {
  const Edit cases[] = {
      {R"({"model":"m"})", R"({"max_completion_tokens":10,"model":"m"})"},
      {R"({"model":"m","max_tokens":9})", R"({"model":"m","max_tokens":9})"},
      {R"({"model":"m","max_tokens":11})", R"({"model":"m","max_tokens":10})"},
      {R"({"max_tokens":11,"model":"m","max_completion_tokens":5})",
       R"({"max_tokens":10,"model":"m","max_completion_tokens":5})"},
      {R"({"model":"m","max_tokens":null})", R"({"model":"m","max_tokens":10})"},
      {R"({"model":"m","max_tokens":-1,"n_predict":-1,"max_completion_tokens":100})",
       R"({"model":"m","max_tokens":10,"n_predict":10,"max_completion_tokens":10})"},
  };
  for (const Edit& c : cases)
    EXPECT_EQ(edited(EndpointId::kChatCompletions, c.body, {.clamp_output_to = 10}), c.edited);
  EXPECT_EQ(edited(EndpointId::kCompletions, R"({"model":"m"})", {.clamp_output_to = 10}),
            R"({"max_tokens":10,"model":"m"})");
  EXPECT_EQ(edited(EndpointId::kResponses, R"({"model":"m"})", {.clamp_output_to = 10}),
            R"({"max_output_tokens":10,"model":"m"})");
}

TEST(EditBody, PutsAnotherCacheKeyInItsPlace) {
  const Edit cases[] = {
      {R"({"model":"m","prompt_cache_key": "a\u0062" ,"z":0})", R"({"model":"m","prompt_cache_key": "h\"1" ,"z":0})"},
      {R"({"model":"m","prompt_cache_key":null})", R"({"model":"m","prompt_cache_key":null})"},
      {R"({"model":"m","prompt_cache_key":""})", R"({"model":"m","prompt_cache_key":""})"},
      {R"({"model":"m"})", R"({"model":"m"})"},
  };
  for (const EndpointId id : {EndpointId::kChatCompletions, EndpointId::kResponses})
    for (const Edit& c : cases) EXPECT_EQ(edited(id, c.body, {.prompt_cache_key = "h\"1"}), c.edited);
  EXPECT_EQ(read(EndpointId::kChatCompletions, R"({"model":"m","prompt_cache_key":"a\u0062"})")->prompt_cache_key,
            "ab");
}

TEST(EditBody, MakesAllEditsAtOnce) {
  EXPECT_EQ(
      edited(
          EndpointId::kChatCompletions,
          R"({"model":"a","max_tokens":99,"stream_options":{"include_usage":false},"n_predict":99,"max_completion_tokens":99,"z":0})",
          {.ask_for_usage = true, .clamp_output_to = 1, .model = "b"}),
      R"({"model":"b","max_tokens":1,"stream_options":{"include_usage":true},"n_predict":1,"max_completion_tokens":1,"z":0})");
  EXPECT_EQ(edited(EndpointId::kChatCompletions, R"({"model":"a"})",
                   {.ask_for_usage = true, .clamp_output_to = 1, .model = "b"}),
            R"({"stream_options":{"include_usage":true},"max_completion_tokens":1,"model":"b"})");
}

TEST(EditBody, C45ACapThatIsPutInIsCalledAsThePlaceWantsIt) {
  const Edits edits{.clamp_output_to = 7, .cap_member = kMaxTokens};
  EXPECT_EQ(edited(EndpointId::kChatCompletions, R"({"model":"m"})", edits), R"({"max_tokens":7,"model":"m"})");
  EXPECT_EQ(edited(EndpointId::kResponses, R"({"model":"m"})", edits), R"({"max_output_tokens":7,"model":"m"})");
  EXPECT_EQ(edited(EndpointId::kChatCompletions, R"({"model":"m","max_completion_tokens":9})", edits),
            R"({"model":"m","max_completion_tokens":7})");
}

TEST(CallReader, CountsWhatIsSpokenInCharacters) {
  const std::pair<const char*, std::uint64_t> cases[] = {
      {R"("")", 0},
      {R"("abc")", 3},
      {R"("a\n\"\\\/")", 5},
      {"\"\xC3\xA9\xE2\x80\x9C\xF0\x9F\x98\x80\"", 3},
      {R"("\u00e9b")", 2},
      {R"("\ud83d\ude00x")", 2},
      {R"("\uD83D\uDE00")", 1},
      {R"("\\u00e9")", 6},
  };
  for (const auto& [text, characters] : cases) {
    const Result<CallBody> call =
        read(EndpointId::kSpeech, std::string(R"({"model":"m","voice":"v","input":)") + text + "}");
    ASSERT_TRUE(call) << text;
    EXPECT_EQ(call->characters, characters) << text;
    EXPECT_EQ(call->answer, dialect::AnswerForm::kBytes);
    EXPECT_EQ(call->output_estimate, std::max<std::uint64_t>(characters, 1)) << "what is reserved";
    EXPECT_FALSE(call->stream);
  }
}

TEST(CallReader, CountsAQuestionOnceForEachTextThatItIsComparedWith) {
  const Result<CallBody> one = read(EndpointId::kRerank, R"({"model":"m","query":"12345678","documents":["1234"]})");
  const Result<CallBody> ten = read(
      EndpointId::kRerank,
      R"({"model":"m","documents":["1234","1234","1234","1234","1234","1234","1234","1234","1234","1234"],"query":"12345678"})");
  ASSERT_TRUE(one && ten);
  EXPECT_EQ(one->prompt_estimate, 3u);
  EXPECT_EQ(ten->prompt_estimate, 30u);
  EXPECT_EQ(ten->prompts, 10u) << "each may fill the model's context";
}

}  // namespace
}  // namespace sluice::openai
