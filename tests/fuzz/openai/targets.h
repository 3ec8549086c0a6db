// Fuzz targets of the wire dialect: each takes any bytes and checks what must hold for all of them. The unit test
// openai/fuzz_test.cc runs them over the corpus and over seeded mutations of it; with clang,
// `extern "C" int LLVMFuzzerTestOneInput` over one of them is a libFuzzer program.
#pragma once

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>
#include <string_view>

#include "openai/call_reader.h"
#include "openai/error_body.h"
#include "openai/stream_filter.h"

namespace sluice::openai::fuzz {

inline Buffer padded(std::string_view text) {
  Buffer buffer;
  buffer.append(text);
  (void)buffer.prepare(simdjson::SIMDJSON_PADDING);
  return buffer;
}

inline bool is_json(std::string_view text) {
  simdjson::dom::parser parser;
  return parser.parse(text.data(), text.size()).error() == simdjson::SUCCESS;
}

// A call that is read can be edited; the edited one reads as what was asked for, and stays JSON if it was.
inline void call(wire::Parser& parser, const Endpoint& endpoint, std::string_view text) {
  const Buffer body = padded(text);
  const Result<CallBody> asked = read_call(endpoint, body.view(), parser);
  if (!asked) {
    ASSERT_EQ(asked.error().kind, ErrorKind::kBadRequest);
    return;
  }
  ASSERT_FALSE(asked->model.empty());
  EditedBody edited;
  const Edits edits{.ask_for_usage = true, .clamp_output_to = 3, .model = "other"};
  edit_body(endpoint, *asked, body.view(), edits, edited);
  std::string whole;
  for (std::size_t i = 0; i < edited.count; ++i) whole += edited.parts[i];
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

struct Filtered {
  std::string out;
  StreamState state = StreamState::kOpen;
  Usage usage;
  bool operator==(const Filtered& other) const {
    return out == other.out && state == other.state && usage.completion_tokens == other.usage.completion_tokens &&
           usage.prompt_tokens == other.usage.prompt_tokens && usage.source == other.usage.source;
  }
};

inline Filtered filter(const Endpoint& endpoint, bool wants_usage, std::string_view text, std::size_t step) {
  StreamFilter filter(endpoint, {.client_wants_usage = wants_usage});
  Buffer arrived, out;
  Filtered filtered;
  for (std::size_t at = 0; at < text.size(); at += step) {
    arrived.append(text.substr(at, step));
    filtered.state = filter.filter(arrived, out);
  }
  if (filtered.state == StreamState::kOpen || filtered.state == StreamState::kDone) filtered.state = filter.finish(out);
  filtered.out = out.view();
  filtered.usage = filter.usage(1);
  return filtered;
}

// What leaves depends on no split, consists of whole events with data, and ends once.
inline void stream(const Endpoint& endpoint, bool wants_usage, std::string_view text, std::size_t step) {
  const Filtered whole = filter(endpoint, wants_usage, text, text.size() + 1);
  ASSERT_EQ(whole, filter(endpoint, wants_usage, text, step)) << "step " << step << "\n" << text;
  ASSERT_NE(whole.state, StreamState::kOpen);
  ASSERT_TRUE(simdjson::validate_utf8(whole.out)) << text;
  std::size_t ends = 0;
  for (std::string_view rest = whole.out; !rest.empty();) {
    const std::size_t end = rest.find("\n\n");
    ASSERT_NE(end, std::string_view::npos) << whole.out;
    const std::string_view event = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    ASSERT_EQ(event.find('\r'), std::string_view::npos);
    ASSERT_TRUE(event.starts_with("data: ") ||
                (event.starts_with("event: ") && event.find("\ndata: ") != std::string_view::npos))
        << event;
    ends += event == "data: [DONE]" ? 1 : 0;
    ASSERT_TRUE(ends == 0 || rest.empty()) << whole.out;
  }
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
