// What a StreamFilter knows of its stream, for stream_filter.cc and stream_end.cc alone.
#pragma once

#include <optional>

#include "base/wiped_string.h"
#include "dialect/answer.h"
#include "openai/chunk.h"
#include "openai/endpoint.h"
#include "openai/repeated_chunk.h"
#include "wire/sse_events.h"

namespace sluice::openai {

using dialect::Ending;
using dialect::StreamState;
using dialect::UsageDoubt;
using dialect::UsageReading;

struct StreamProgress {
  StreamProgress(const Endpoint& endpoint_in, const dialect::FilterOptions& options_in)
      : endpoint(endpoint_in), options(options_in), choices(options_in.choices) {}

  // Each takes one event and puts what the client gets of it into `out`.
  void take(const wire::SseEvent& event, Buffer& out);
  void take_data(std::string_view name, std::string_view data, Buffer& out);
  void take_chunk(std::string_view name, const Chunk& chunk, Buffer& out);
  void take_usage_chunk(const Chunk& chunk);
  void take_made_event(std::string_view name, const Chunk& chunk, Buffer& out);  // in made_events.cc
  void take_response_event(std::string_view name, const Chunk& chunk, Buffer& out);
  void take_error(std::string_view data, Buffer& out);
  void take_rest(std::string_view rest, Buffer& out);

  void note_head(const Chunk& chunk);
  void note_ids(std::string_view type, const Chunk& event);
  void note_text(std::uint64_t bytes) noexcept;
  // Where usage was told, what counts less first.
  enum class Told : std::uint8_t { kByGroq, kByChoices, kAlong, kAlone };
  // False: it says nothing, or less than what is known already, which stays.
  bool note_usage(std::optional<UsageReading> said, Told where) noexcept;
  void pass(std::string_view name, std::string_view data, Buffer& out);
  // Returns where `mark`, a place in the chunk, stands in its event.
  std::size_t pass_edited(std::string_view name, const Chunk& chunk, bool usage_to_null, Buffer& out, const char* mark);
  void learn(const Chunk& chunk, const ChoiceTable::Seen& seen, std::string_view event, std::size_t at);

  [[nodiscard]] bool makes() const noexcept { return endpoint.work == dialect::Work::kMake; }
  [[nodiscard]] Usage estimate(std::uint64_t prompt_estimate) const noexcept;
  [[nodiscard]] std::uint64_t counted() const noexcept;
  void append_held_usage(Buffer& out);
  void append_choice_end(std::size_t index, Buffer& out);
  void make_own_usage();
  void append_incomplete_response(Buffer& out);

  const Endpoint& endpoint;
  const dialect::FilterOptions options;
  StreamState state = StreamState::kOpen;
  wire::EventSplitter splitter;
  ChoiceTable choices;
  Buffer joined;    // data of an event with several lines
  Buffer edited;    // an event being edited
  Buffer repaired;  // an event whose bytes were not UTF-8

  RepeatedChunk repeated;
  unsigned fruitless = 0;  // times that something was learnt since the last repetition

  bool has_more = false;       // kEventsAtOnce were taken
  bool done_seen = false;      // [DONE]
  bool terminal_seen = false;  // a terminal event of Responses
  Ending ending = Ending::kComplete;
  std::uint64_t events = 0;
  std::uint64_t made = 0;    // things that an event said were made
  std::uint64_t images = 0;  // of them
  std::uint64_t text_deltas = 0;
  std::uint64_t text_total_bytes = 0;

  std::optional<UsageReading> usage;  // the last that the upstream said
  Told told = Told::kByGroq;          // where
  Buffer held_usage;                  // the usage chunk for the client, to leave with [DONE]

  // Of the first chunk that has them, as they stand in its text: for the chunks that cut() writes.
  WipedString id, created, model_value;
  std::string model;
  dialect::KeptIds ids;               // of Responses
  std::uint64_t sequence_number = 0;  // the next one, of Responses
};

}  // namespace sluice::openai
