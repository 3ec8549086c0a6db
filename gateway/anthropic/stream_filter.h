// A stream of this dialect, event by event:
//
//   event: message_start          the message without its content; its usage knows the prompt
//   event: content_block_start    a block begins, by its index
//   event: content_block_delta    text, thinking, or a part of a tool's input
//   event: content_block_stop
//   event: message_delta          why it stopped, and the usage so far, cumulative; once or more
//   event: message_stop           the end
//   event: ping, event: error     anywhere
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anthropic/endpoint.h"
#include "base/bytes.h"
#include "base/wiped_string.h"
#include "dialect/answer.h"
#include "wire/sse_events.h"

namespace sluice::anthropic {

// Events pass byte for byte, but in the form that every SDK parses:
//  - removes id:, retry:, comments, data-less events, a BOM; CR, LF and CRLF come in, LF goes out
//  - names an event without a name by its type: the SDKs pass by what has none
//  - an error event in any form leaves as "event: error" and ends the stream
// Counts completion tokens, joins what message_start and message_delta say of the usage, knows open blocks. Its end is
// message_stop.
class StreamFilter final : public dialect::EventFilter {
 public:
  explicit StreamFilter(const dialect::FilterOptions& options) : options_(options) {}

  dialect::StreamState filter(Buffer& in, Buffer& out) noexcept override;
  static constexpr unsigned kEventsAtOnce = 256;
  [[nodiscard]] bool has_more() const noexcept override { return has_more_; }
  [[nodiscard]] std::size_t held_bytes() const noexcept override { return 0; }

  dialect::StreamState finish(Buffer& out) noexcept override;
  // Open blocks stop, then a message_delta with stop_reason "max_tokens" and the usage, then message_stop. Where the
  // server's message_delta said why it stopped: message_stop alone.
  void cut(Buffer& out) noexcept override;

  // One a delta at least, by text length else.
  [[nodiscard]] std::uint64_t completion_tokens() const noexcept override;
  // Measured where a message_delta told it. A stream that ended before: the prompt as message_start has it, the output
  // as it was counted, and estimated, because message_start's output_tokens is a beginning and no count.
  [[nodiscard]] Usage usage(std::uint64_t prompt_estimate) const noexcept override;
  [[nodiscard]] dialect::Ending ending() const noexcept override { return dialect::Ending::kComplete; }
  [[nodiscard]] const std::optional<dialect::UsageReading>& told() const noexcept override { return told_; }
  [[nodiscard]] std::string_view model() const noexcept override { return model_; }

 private:
  struct Parts;  // of an event's data
  void take(const wire::SseEvent& event, Buffer& out);
  void take_data(std::string_view name, std::string_view data, Buffer& out);
  void take_part(std::string_view type, const Parts& parts);
  void take_error(std::string_view data, Buffer& out);
  void take_rest(std::string_view rest, Buffer& out);
  void note_message(std::string_view message);
  void note_block(std::string_view index, bool open);
  void note_text(std::string_view delta) noexcept;
  bool note_usage(std::string_view usage);  // false: it says nothing
  void append_start(Buffer& out) const;

  const dialect::FilterOptions options_;
  dialect::StreamState state_ = dialect::StreamState::kOpen;
  wire::EventSplitter splitter_;
  Buffer joined_;      // data of an event with several lines
  Buffer repaired_;    // an event whose bytes were not UTF-8
  Buffer unfinished_;  // a message_stop without its blank line, in case that nothing follows

  bool has_more_ = false;     // kEventsAtOnce were taken
  bool started_ = false;      // message_start
  bool final_ = false;        // a message_delta told the usage
  bool reason_told_ = false;  // a message_delta said why it stopped
  std::uint64_t events_ = 0;
  std::uint64_t text_deltas_ = 0;
  std::uint64_t text_bytes_ = 0;
  std::vector<std::uint64_t> open_blocks_;  // mostly one
  std::optional<dialect::UsageReading> told_;
  std::string model_;
};

}  // namespace sluice::anthropic
