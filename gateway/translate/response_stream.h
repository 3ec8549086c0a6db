// A stream of a chat as one of Responses: the typed events, and an object that repeats it all at the end.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "dialect/translation.h"
#include "translate/response_object.h"
#include "wire/sse_events.h"

namespace sluice::translate {

// Thread:   one.
// Lifetime: what the facts refer to outlives it.
class ResponseStream final : public dialect::EventTranslator {
 public:
  explicit ResponseStream(const dialect::AnswerFacts& facts) noexcept : facts_(facts) {}

  void translate(std::string_view events, Buffer& out) noexcept override;
  void finish(Buffer& out) noexcept override;
  void fail(std::string_view event, std::string_view error, Buffer& out) noexcept override;
  // All that the answer says, and the call's settings: the last event repeats them.
  // The end says everything again, three times: as a part, as an item, and in the response.
  [[nodiscard]] std::size_t held_bytes() const noexcept override { return 4 * held_bytes_ + facts_.settings.size(); }

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  static constexpr std::size_t kMostItems = 2 * kMostCalls;

  // What the chat says.
  void take(std::string_view data, Buffer& out);
  void take_said(const ChatChoice& choice, Buffer& out);
  [[nodiscard]] bool may_say(ItemKind kind) const noexcept;
  void take_reasoning(std::string_view inside, std::string_view member, Buffer& out);
  void take_text(std::string_view inside, std::string_view logprobs, Buffer& out);
  void take_refusal(std::string_view inside, Buffer& out);
  void take_call(const ChatToolCall& call, Buffer& out);
  [[nodiscard]] std::size_t find_call(const ChatToolCall& call) const noexcept;
  void end_failed(std::string_view data, Buffer& out);

  // Items that begin and end. One of reasoning and message is open at a time; calls stay open to the end, for servers mix
  // their arguments.
  void begin(std::string_view created, Buffer& out);
  std::size_t open(OutputItem&& item, Buffer& out);
  std::size_t open_said(ItemKind kind, std::string_view member, Buffer& out);
  void open_part(std::size_t position, Buffer& out);
  void append_piece(std::size_t position, std::string_view inside, std::string_view logprobs, Buffer& out);
  void close_said(ItemStatus status, Buffer& out);
  void close_part(std::size_t position, Buffer& out);
  void close_call(std::size_t position, ItemStatus status, Buffer& out);
  [[nodiscard]] ItemStatus status_at_end(std::size_t position, ResponseStatus status) const noexcept;

  // Parts of events.
  void begin_event(std::string_view type, Buffer& out);
  void begin_item_event(std::string_view type, std::size_t position, Buffer& out);
  void append_whole_item(std::string_view type, std::size_t position, ItemStatus status, Buffer& out);
  void append_part_of(std::size_t position, Buffer& out) const;
  void append_response_event(std::string_view type, const ResponseObject& response, Buffer& out);

  // An event that differs from the last one in its text alone, as nearly all do, is known by what stands around that.
  [[nodiscard]] bool take_repeated(std::string_view& events, Buffer& out);
  void learn(std::string_view data, std::string_view event);

  const dialect::AnswerFacts facts_;
  wire::EventSplitter splitter_;
  Buffer joined_;  // the data of an event that has several lines

  bool begun_ = false, ended_ = false;
  std::uint64_t sequence_ = 0;
  WipedString created_, finish_reason_;
  WipedString white_;  // white space before a message that may not come
  std::optional<Usage> usage_;
  std::vector<OutputItem> items_;
  struct CallAt {
    std::uint64_t index;  // as the chat counts its calls
    std::size_t position;
  };
  std::vector<CallAt> calls_;  // those of the items that are calls
  std::size_t said_ = kNone;   // the open one of reasoning and message
  bool refusing_ = false;      // its open part is a refusal
  std::size_t held_bytes_ = 0;

  // The last text that left, and where its event has the text and the number before it: views and places of one take().
  struct Piece {
    std::string_view inside;
    std::size_t position = kNone;
    std::size_t number_at = 0, behind_number = 0, text_at = 0;
  };
  Piece piece_;
  struct Repeated {
    std::size_t position = kNone;  // of the item; kNone: nothing was learnt
    Buffer front, back;            // around the text, as it comes
    Buffer out_front, out_middle;  // before the number and before the text, as it leaves
  };
  Repeated repeated_;
};

}  // namespace sluice::translate
