// Fuzz targets of the wire dialect: each takes any bytes and checks what must hold for all of them. The unit test
// openai/fuzz_test.cc runs them over the corpus and over seeded mutations of it; with clang,
// `extern "C" int LLVMFuzzerTestOneInput` over one of them is a libFuzzer program.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <string_view>

#include "openai/batch_lines.h"
#include "openai/call_reader.h"
#include "openai/error_body.h"
#include "openai/form_reader.h"
#include "openai/stream_filter.h"
#include "support/any_bytes.h"

namespace sluice::openai::fuzz {

using test::is_json;
using test::padded;

// A call that is read can be edited; the edited one reads as what was asked for, and stays JSON if it was.
inline void call(wire::Parser& parser, const Endpoint& endpoint, std::string_view text) {
  const Buffer body = padded(text);
  const Result<CallBody> asked = read_call(endpoint, body.view(), parser);
  if (!asked) {
    ASSERT_EQ(asked.error().kind, ErrorKind::kBadRequest);
    return;
  }
  ASSERT_EQ(asked->model.empty(), !asked->model_member.present());
  EditedBody edited;
  const Edits edits{.ask_for_usage = true, .clamp_output_to = 3, .model = "other"};
  edit_body(endpoint, *asked, body.view(), edits, edited);
  const std::string whole = test::text_of(edited);
  const Buffer again = padded(whole);
  const Result<CallBody> changed = read_call(endpoint, again.view(), parser);
  ASSERT_TRUE(changed) << changed.error().what << "\n" << text << "\n" << whole;
  ASSERT_EQ(changed->model, "other");
  ASSERT_EQ(changed->stream, asked->stream);
  ASSERT_EQ(changed->choices, asked->choices);
  ASSERT_EQ(changed->wants_usage, endpoint.asks_for_usage);
  if (api_of(endpoint) != Api::kEmbedding) {
    ASSERT_TRUE(changed->output_cap);
    ASSERT_LE(*changed->output_cap, 3u);
  }
  if (is_json(text)) {
    ASSERT_TRUE(is_json(whole)) << whole;
  }
}

// A form that is read can be edited; the edited one reads as what was asked for, and differs in the model's name alone.
inline void form(const Endpoint& endpoint, std::string_view text) {
  constexpr std::string_view kType = "multipart/form-data; boundary=b";
  const Result<CallBody> asked = read_form(endpoint, kType, text);
  if (!asked) {
    ASSERT_EQ(asked.error().kind, ErrorKind::kBadRequest);
    return;
  }
  ASSERT_EQ(asked->model.empty(), !asked->model_member.present());
  EditedBody edited;
  edit_form(*asked, text, {.clamp_output_to = 3, .model = "other"}, edited);
  std::string whole;
  for (std::size_t i = 0; i < edited.count; ++i) whole += edited.parts[i];
  const Result<CallBody> changed = read_form(endpoint, kType, whole);
  ASSERT_TRUE(changed) << changed.error().what << "\n" << text << "\n" << whole;
  ASSERT_EQ(changed->model, "other");
  ASSERT_EQ(changed->stream, asked->stream);
  ASSERT_EQ(changed->answer, asked->answer);
  ASSERT_EQ(changed->choices, asked->choices);
  ASSERT_EQ(changed->sound_seconds, asked->sound_seconds);
  edit_form(*changed, whole, {.model = asked->model}, edited);
  std::string back;
  for (std::size_t i = 0; i < edited.count; ++i) back += edited.parts[i];
  if (asked->model_member.present() && !asked->own[kModelPartLength].present()) {
    ASSERT_EQ(back, text);
  }
}

// The lines of a batch that are read can be edited; the edited ones read as calls of the other model, each with a cap.
inline void batch(wire::Parser& parser, std::string_view text) {
  const Buffer file = padded(text);
  dialect::Upload asked;
  const WipedString model = read_batch(file.view(), asked, parser);
  if (asked.wrong_line != 0) {
    ASSERT_EQ(asked.wrong.kind, ErrorKind::kBadRequest);
    return;
  }
  ASSERT_EQ(model.empty(), asked.lines == 0);
  Buffer edited;
  ASSERT_TRUE(append_edited_batch(edited, file.view(), {.model = "other", .cap = 3}, parser));
  const Buffer again = padded(edited.view());
  dialect::Upload changed;
  const WipedString other = read_batch(again.view(), changed, parser);
  ASSERT_EQ(changed.wrong_line, 0u) << changed.wrong.what << "\n" << text << "\n" << edited.view();
  ASSERT_EQ(other, asked.lines == 0 ? "" : "other");
  ASSERT_EQ(changed.lines, asked.lines);
  ASSERT_EQ(changed.prompt_tokens, asked.prompt_tokens);
  ASSERT_EQ(changed.uncapped_answers, 0u);
  ASSERT_EQ(changed.output_tokens, asked.output_tokens + 3 * asked.uncapped_answers);
}

inline test::Filtered filter(const Endpoint& endpoint, bool wants_usage, std::string_view text, std::size_t step) {
  StreamFilter filter(endpoint, {.client_wants_usage = wants_usage});
  return test::send_through(filter, test::cut_every(text, step), 1);
}

// What leaves depends on no split, consists of whole events with data, and ends once.
inline void stream(const Endpoint& endpoint, bool wants_usage, std::string_view text, std::size_t step) {
  const test::Filtered whole = filter(endpoint, wants_usage, text, text.size() + 1);
  test::expect_same(whole, filter(endpoint, wants_usage, text, step), text);
  ASSERT_NE(whole.state, StreamState::kOpen);
  std::size_t ends = 0;
  test::for_each_event(whole.out, [&](std::string_view event, std::string_view rest) {
    ASSERT_TRUE(event.starts_with("data: ") ||
                (event.starts_with("event: ") && event.find("\ndata: ") != std::string_view::npos))
        << event;
    ends += event == "data: [DONE]" ? 1 : 0;
    ASSERT_TRUE(ends == 0 || rest.empty()) << whole.out;
  });
  ASSERT_EQ(ends, whole.state == StreamState::kDone && api_of(endpoint) != Api::kResponse ? 1u : 0u);
}

// A chunk leaves the same whether or not one like it went before: nothing learnt from the first changes the second.
inline void repeated(const Endpoint& endpoint, bool wants_usage, std::string_view first, std::string_view second) {
  const auto send = [](StreamFilter& filter, std::string_view data, Buffer& out) {
    Buffer arrived;
    arrived.append("data: ");
    arrived.append(data);
    arrived.append("\n\n");
    return filter.filter(arrived, out);
  };
  StreamFilter both(endpoint, {.client_wants_usage = wants_usage});
  StreamFilter alone(endpoint, {.client_wants_usage = wants_usage});
  Buffer out_both, out_alone;
  if (send(both, first, out_both) != StreamState::kOpen) return;
  const std::uint64_t counted = both.completion_tokens();
  out_both.clear();
  const StreamState state = send(both, second, out_both);
  ASSERT_EQ(state, send(alone, second, out_alone)) << first << "\n" << second;
  ASSERT_EQ(out_both.view(), out_alone.view()) << first << "\n" << second;
  ASSERT_GE(both.completion_tokens() + 1, counted + alone.completion_tokens());  // parts of four bytes round down
}

// Whatever an upstream says, the client gets an error object with four members.
inline void error(std::uint16_t status, std::string_view text) {
  const ErrorAnswer answer = upstream_answer(status, "application/json", text);
  ASSERT_GE(answer.status, 400);
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  ASSERT_EQ(parser.parse(answer.body.data(), answer.body.size())["error"].get(object), simdjson::SUCCESS)
      << answer.body;
  ASSERT_EQ(object.size(), 4u);
}

}  // namespace sluice::openai::fuzz
