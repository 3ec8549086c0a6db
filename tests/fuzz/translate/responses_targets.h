// Fuzz targets of the pair responses -> chat.completions: each takes any bytes and checks what must hold for all of them.
// The unit test translate/responses_fuzz_test.cc runs them over the corpus and over seeded mutations of it.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <string_view>

#include "openai/answer_walk.h"
#include "openai/call_reader.h"
#include "openai/stream_filter.h"
#include "support/any_bytes.h"
#include "translate/responses_to_chat.h"

namespace sluice::translate::fuzz_responses {

inline constexpr dialect::AnswerFacts kFacts = {.unique = "1", .model = "m", .prompt_estimate = 7};

// A call that can be made is one of a chat, and JSON if it was.
inline void call(wire::Parser& parser, std::string_view text) {
  const Buffer body = test::padded(text);
  if (!openai::read_call(openai::endpoint_of(openai::EndpointId::kResponses), body.view(), parser)) return;
  Buffer out;
  const Status made = ResponsesToChat().append_call(out, body.view());
  if (!made) {
    ASSERT_EQ(made.error().kind, ErrorKind::kBadRequest);
    return;
  }
  if (!test::is_json(text)) return;
  ASSERT_TRUE(test::is_json(out.view())) << text << "\n" << out.view();
  const std::string whole(out.view());
  const Buffer again = test::padded(whole);
  const auto asked = openai::read_call(openai::endpoint_of(openai::EndpointId::kChatCompletions), again.view(), parser);
  ASSERT_TRUE(asked) << asked.error().what << "\n" << text << "\n" << whole;
  Buffer settings;
  ResponsesToChat().append_settings(settings, body.view());
  ASSERT_TRUE(test::is_json(R"({"a":1)" + std::string(settings.view()) + "}")) << text << "\n" << settings.view();
  ASSERT_EQ(settings.view().find_first_of("\r\n"), std::string_view::npos);
}

struct Translated {
  std::string between, out;
  dialect::StreamState state = dialect::StreamState::kOpen;
  bool operator==(const Translated&) const = default;
};

inline Translated translated(std::string_view text, std::size_t step) {
  openai::StreamFilter filter(openai::endpoint_of(openai::EndpointId::kChatCompletions), {.client_wants_usage = true});
  const auto translator = ResponsesToChat().events(kFacts);
  Translated result;
  Buffer arrived, between, out;
  const auto pass = [&] {
    result.between += between.view();
    translator->translate(between.view(), out);
    between.clear();
  };
  for (std::size_t at = 0; at < text.size(); at += step) {
    arrived.append(text.substr(at, step));
    result.state = filter.filter(arrived, between);
    pass();
  }
  if (result.state == dialect::StreamState::kOpen || result.state == dialect::StreamState::kDone)
    result.state = filter.finish(between);
  pass();
  if (result.state == dialect::StreamState::kDone) translator->finish(out);
  result.out = out.view();
  return result;
}

inline bool data_is_json(std::string_view events) {
  for (std::string_view rest = events; !rest.empty();) {
    const std::size_t end = rest.find("\n\n");
    const std::string_view event = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
    const std::size_t data = event.find("data: ");
    if (data == std::string_view::npos || event.substr(data) == "data: [DONE]") continue;
    if (event.find("\ndata: ", data) != std::string_view::npos || !test::is_json(event.substr(data + 6))) return false;
  }
  return true;
}

// What leaves depends on no split and is JSON if it was, its events are counted one by one, and a stream that ends has
// one last event.
inline void stream(std::string_view text, std::size_t step) {
  const Translated whole = translated(text, text.size() + 1);
  ASSERT_EQ(whole, translated(text, step)) << "step " << step << "\n" << text;
  if (!data_is_json(whole.between)) return;
  ASSERT_TRUE(data_is_json(whole.out)) << text << "\n" << whole.out;
  std::size_t events = 0, last = 0;
  for (std::size_t at = 0; (at = whole.out.find("\nevent: ", at)) != std::string::npos; ++at) ++events;
  for (const char* const type :
       {"event: response.completed\n", "event: response.incomplete\n", "event: response.failed\n"})
    for (std::size_t at = 0; (at = whole.out.find(type, at)) != std::string::npos; ++at) ++last;
  if (!whole.out.empty()) {
    ASSERT_NE(whole.out.find("\"sequence_number\":" + std::to_string(events)), std::string::npos) << whole.out;
  }
  ASSERT_EQ(last, whole.state == dialect::StreamState::kDone || whole.state == dialect::StreamState::kError ? 1U : 0U)
      << text << "\n"
      << whole.out;
}

inline void answer(std::string_view text) {
  openai::AnswerWalk walk(openai::endpoint_of(openai::EndpointId::kChatCompletions));
  walk.take(text);
  if (!walk.is_answer() || !test::is_json(text)) return;
  const Buffer whole = test::padded(text);
  Buffer out;
  if (ResponsesToChat().append_answer(out, whole.view(), kFacts) == dialect::Converted::kNot) return;
  ASSERT_TRUE(test::is_json(out.view())) << text << "\n" << out.view();
}

}  // namespace sluice::translate::fuzz_responses
