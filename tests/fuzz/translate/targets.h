// Fuzz targets of translations: each takes any bytes and checks what must hold for all of them. The unit test
// translate/fuzz_test.cc runs them over the corpus and over seeded mutations of it.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <string_view>

#include "anthropic/anthropic.h"
#include "openai/openai.h"
#include "support/any_bytes.h"
#include "translate/messages_to_chat.h"
#include "wire/skim.h"

namespace sluice::translate::fuzz {

using dialect::StreamState;

inline const dialect::AnswerFacts kFuzzFacts{.unique = "1", .model = "m", .prompt_estimate = 3};

// A call that its dialect reads is one that the other reads, or refuses; it asks for the same model and way of answering.
inline void call(wire::Parser& parser, std::string_view text) {
  const anthropic::Anthropic from;
  const openai::OpenAi to;
  const Buffer body = test::padded(text);
  const auto asked = from.read_call(from.endpoints()[0], body.view(), parser);
  Buffer out;
  if (!asked || !MessagesToChat().append_call(out, body.view())) return;
  const std::string written(out.view());
  if (test::is_json(text)) {
    ASSERT_TRUE(test::is_json(written)) << text << "\n" << written;
  }
  (void)out.prepare(simdjson::SIMDJSON_PADDING);
  const auto again = to.read_call(to.endpoints()[0], out.view(), parser);
  if (!again) {
    ASSERT_EQ(again.error().kind, ErrorKind::kBadRequest);
    return;
  }
  ASSERT_EQ(again->model, asked->model) << text;
  ASSERT_EQ(again->stream, asked->stream) << text;
}

struct Translated {
  std::string out;
  StreamState state = StreamState::kOpen;
  bool operator==(const Translated&) const = default;
};

inline Translated translated(std::string_view text, std::size_t step) {
  const openai::OpenAi chat;
  const auto filter = chat.filter(chat.endpoints()[0], {.client_wants_usage = true});
  const auto translator = MessagesToChat().events(kFuzzFacts);
  Buffer arrived, between, out;
  Translated result;
  const auto pass = [&] {
    translator->translate(between.view(), out);
    between.clear();
  };
  for (std::size_t at = 0; at < text.size(); at += step) {
    arrived.append(text.substr(at, step));
    result.state = filter->filter(arrived, between);
    pass();
  }
  if (result.state == StreamState::kOpen || result.state == StreamState::kDone) {
    result.state = filter->finish(between);
    pass();
    if (result.state == StreamState::kDone) translator->finish(out);
  }
  result.out = out.view();
  return result;
}

// What leaves depends on no split, and is a stream of Messages in its order, whatever came. Its strings are the server's
// own: where those were JSON, so is every event.
inline void stream(std::string_view text, std::size_t step) {
  const Translated whole = translated(text, text.size() + 1);
  ASSERT_EQ(whole, translated(text, step)) << "step " << step << "\n" << text;
  std::uint64_t blocks = 0;
  bool open = false, begun = false;
  std::string_view last;
  for (std::string_view rest = whole.out; !rest.empty();) {
    const std::size_t name = rest.find('\n'), end = rest.find("\n\n");
    ASSERT_NE(end, std::string_view::npos) << whole.out;
    ASSERT_TRUE(rest.starts_with("event: ") && rest.substr(name + 1).starts_with("data: {")) << rest;
    const std::string_view type = rest.substr(7, name - 7), data = rest.substr(name + 7, end - name - 7);
    rest.remove_prefix(end + 2);
    ASSERT_EQ(wire::skim_find(data, "type"), "\"" + std::string(type) + "\"");
    ASSERT_TRUE(begun || type == "message_start" || type == "error") << whole.out;
    if (type.starts_with("content_block")) {
      ASSERT_EQ(wire::skim_count(wire::skim_find(data, "index")), blocks) << whole.out;
      ASSERT_EQ(open, type != "content_block_start") << whole.out;
      open = type != "content_block_stop";
      blocks += open ? 0 : 1;
    } else if (type == "message_start") {
      ASSERT_FALSE(begun) << whole.out;
      begun = true;
    } else if (type == "message_delta") {
      ASSERT_FALSE(open) << whole.out;
    }
    last = type;
  }
  ASSERT_EQ(whole.state == StreamState::kDone, last == "message_stop") << text << "\n" << whole.out;
}

// A message that is made of JSON is JSON.
inline void answer(std::string_view text) {
  Buffer out;
  const Buffer whole = test::padded(text);
  if (!test::is_json(text) || MessagesToChat().append_answer(out, whole.view(), kFuzzFacts) == dialect::Converted::kNot)
    return;
  ASSERT_TRUE(test::is_json(out.view())) << text << "\n" << out.view();
}

}  // namespace sluice::translate::fuzz
