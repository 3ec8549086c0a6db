// A stream of a chat as one of Messages, event by event.
//
//   data: {…"delta":{"role":"assistant"}}             message_start
//   data: {…"delta":{"content":"Hel"}}                content_block_start, content_block_delta
//   data: {…"delta":{"content":"lo"}}                 content_block_delta
//   data: {…"delta":{"tool_calls":[{"index":0,…}]}}   content_block_stop, content_block_start, content_block_delta
//   data: {…"finish_reason":"tool_calls"}
//   data: {…"usage":{…}} [DONE]                       content_block_stop, message_delta, message_stop
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/wiped_string.h"
#include "dialect/translation.h"
#include "dialect/usage_reader.h"
#include "openai/repeated_chunk.h"
#include "translate/argument_scan.h"
#include "translate/chat_delta.h"
#include "wire/sse_events.h"

namespace sluice::translate {

// Blocks of a message come one behind the other, while a chat may say two calls in turns: what is not of the open call is
// held until that is whole. An event that repeats the last one but for its text is not read again.
// Thread: one.
class MessageStream final : public dialect::EventTranslator {
 public:
  explicit MessageStream(const dialect::AnswerFacts& facts) noexcept : facts_(facts) {}

  void translate(std::string_view events, Buffer& out) noexcept override;
  void finish(Buffer& out) noexcept override;
  [[nodiscard]] std::size_t held_bytes() const noexcept override { return held_bytes_ + white_.size(); }

 private:
  enum class Kind : std::uint8_t { kNone, kText, kThinking, kCall };
  struct Call {
    std::uint64_t index = 0;  // as the server numbers it
    WipedString id, name;     // insides of strings
    WipedString waiting;      // of its arguments
    ArgumentScan arguments;
    bool begun = false;
    bool waits = false;  // a piece of it is held
  };
  // What came while another call was open. `text`: the inside of a string. A call has one piece, in which all that waits of
  // it is said, and has that text itself.
  struct Piece {
    Kind kind = Kind::kNone;
    std::size_t call = 0;
    WipedString text;
  };

  void take(std::string_view data, Buffer& out);
  [[nodiscard]] bool take_repeated(std::string_view data, Buffer& out);
  void take_error(std::string_view data, Buffer& out);
  void take_delta(const ChatDelta& delta, Buffer& out);
  void take_call(const ChatToolCall& said, Buffer& out);
  [[nodiscard]] std::size_t find_call(const ChatToolCall& said);
  void take_piece(Kind kind, std::size_t call, std::string_view inside, Buffer& out);
  void say(Kind kind, std::size_t call, std::string_view inside, Buffer& out);
  void say_white_or(Kind kind, std::string_view inside, Buffer& out);
  void hold(Kind kind, std::size_t call, std::string_view inside);
  void say_held(Buffer& out);
  // The open call is not whole: nothing else may be said now.
  [[nodiscard]] bool is_held_up() const noexcept { return open_ == Kind::kCall && !is_whole_call(); }
  [[nodiscard]] bool is_whole_call() const noexcept { return open_ == Kind::kCall && calls_[call_].arguments.whole(); }

  void begin_message(Buffer& out);
  void open(Kind kind, std::size_t call, Buffer& out);
  void close(Buffer& out);
  void append_delta(std::string_view inside, Buffer& out);

  const dialect::AnswerFacts facts_;
  wire::EventSplitter splitter_;
  Buffer joined_;
  std::optional<openai::RepeatedChunk> repeated_;  // of text in the block that is open
  std::string delta_front_;                        // of an event of that block, up to its text
  std::string_view last_said_;                     // the text appended last, and where it stands in what was appended
  std::size_t said_at_ = 0;
  WipedString white_;  // that came where no block was open
  std::deque<Piece> held_;
  std::size_t held_bytes_ = 0;
  std::vector<Call> calls_;
  std::size_t call_ = 0;  // that is open, or was last
  Kind open_ = Kind::kNone;
  std::uint64_t blocks_ = 0;
  std::string_view thinking_member_ = {};  // that the thinking comes by; static text
  std::string finish_reason_;
  WipedString stop_;
  std::optional<Usage> usage_;
  std::uint64_t said_events_ = 0, said_bytes_ = 0;
  bool begun_ = false, refused_ = false, failed_ = false;
};

}  // namespace sluice::translate
