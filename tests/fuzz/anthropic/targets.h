// Fuzz targets of Anthropic's dialect: each takes any bytes and checks what must hold for all of them. The unit test
// anthropic/fuzz_test.cc runs them over the corpus and over seeded mutations of it.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <string_view>

#include "anthropic/assembled_message.h"
#include "anthropic/call_reader.h"
#include "anthropic/error_body.h"
#include "anthropic/message_events.h"
#include "anthropic/message_walk.h"
#include "anthropic/stream_filter.h"
#include "support/any_bytes.h"

namespace sluice::anthropic::fuzz {

using dialect::StreamState;
using test::is_json;
using test::padded;

// A call that is read can be edited; the edited one reads as what was asked for, and stays JSON if it was.
inline void call(wire::Parser& parser, std::string_view text) {
  const Endpoint& endpoint = endpoint_of(Api::kMessages);
  const Buffer body = padded(text);
  const Result<dialect::CallBody> asked = read_call(endpoint, body.view(), parser);
  if (!asked) {
    ASSERT_EQ(asked.error().kind, ErrorKind::kBadRequest);
    return;
  }
  dialect::EditedBody edited;
  edit_body(*asked, body.view(), {.clamp_output_to = 1500, .model = "other"}, edited);
  const std::string whole = test::text_of(edited);
  const Buffer again = padded(whole);
  const Result<dialect::CallBody> changed = read_call(endpoint, again.view(), parser);
  ASSERT_TRUE(changed) << changed.error().what << "\n" << text << "\n" << whole;
  ASSERT_EQ(changed->model, "other");
  ASSERT_EQ(changed->stream, asked->stream);
  ASSERT_TRUE(changed->output_cap);
  ASSERT_LE(*changed->output_cap, 1500u);
  if (is_json(text)) {
    ASSERT_TRUE(is_json(whole)) << whole;
  }
}

inline test::Filtered filter(std::string_view text, std::size_t step) {
  StreamFilter filter({});
  return test::send_through(filter, test::cut_every(text, step), 1);
}

// What leaves depends on no split, and consists of whole events with data; what was put together of it is JSON if it was.
inline void stream(std::string_view text, std::size_t step) {
  const test::Filtered whole = filter(text, text.size() + 1);
  test::expect_same(whole, filter(text, step), text);
  ASSERT_NE(whole.state, StreamState::kOpen);
  bool json = true;
  test::for_each_event(whole.out, [&](std::string_view event, std::string_view) {
    const std::size_t data = event.find("data: ");
    ASSERT_NE(data, std::string_view::npos) << event;
    json = json && event.find("\ndata: ", data) == std::string_view::npos && is_json(event.substr(data + 6));
  });
  AssembledMessage assembled;
  Buffer events, answer;
  events.append(whole.out);
  assembled.take(events);
  if (assembled.append_to(answer) == dialect::Converted::kDone && json) {
    ASSERT_TRUE(answer.view().starts_with('{') && answer.view().ends_with('}')) << answer.view();
  }
}

// Whatever an upstream says, the client gets an error of the one form.
inline void error(std::uint16_t status, std::string_view text) {
  ErrorAnswer answer = upstream_answer(status, text);
  add_request_id(answer, "req_1");
  ASSERT_GE(answer.status, 400);
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  ASSERT_EQ(parser.parse(answer.body.data(), answer.body.size()).get(object), simdjson::SUCCESS) << answer.body;
  ASSERT_EQ(object.size(), 3u);
  ASSERT_EQ(object["error"].get(object), simdjson::SUCCESS);
  ASSERT_EQ(object.size(), 2u);
}

// What a walk says depends on no split; an answer that is JSON leaves as events that end a stream.
inline void answer(std::string_view text, std::size_t step) {
  const Endpoint& endpoint = endpoint_of(Api::kMessages);
  MessageWalk whole(endpoint), pieces(endpoint);
  whole.take(text);
  for (std::size_t at = 0; at < text.size(); at += step) pieces.take(text.substr(at, step));
  ASSERT_EQ(whole.form(), pieces.form()) << text;
  ASSERT_EQ(whole.is_answer(), pieces.is_answer()) << text;
  ASSERT_EQ(whole.says_error(), pieces.says_error()) << text;
  ASSERT_EQ(whole.text_bytes(), pieces.text_bytes()) << text;
  ASSERT_EQ(whole.model(), pieces.model()) << text;
  ASSERT_EQ(whole.told().has_value(), pieces.told().has_value()) << text;
  Buffer events, out;
  if (!is_json(text) || append_as_events(events, text) == dialect::Converted::kNot) return;
  StreamFilter filter({});
  const StreamState state = filter.filter(events, out);
  ASSERT_TRUE(state == StreamState::kDone || state == StreamState::kError) << text << "\n" << out.view();
}

}  // namespace sluice::anthropic::fuzz
