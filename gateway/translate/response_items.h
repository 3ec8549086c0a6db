// The output of a response, item by item: what streams and whole answers have alike.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/wiped_string.h"
#include "dialect/translation.h"
#include "translate/chat_delta.h"
#include "translate/tool_name.h"

namespace sluice::translate {

enum class ItemKind : std::uint8_t { kReasoning, kMessage, kCall };
enum class ItemStatus : std::uint8_t { kInProgress, kCompleted, kIncomplete };

// What stands in strings is kept with its escapes, as it came.
struct OutputItem {
  ItemKind kind = ItemKind::kMessage;
  ToolName tool;            // of a call
  WipedString call_id;      // the inside of a string; empty: the server gave none
  WipedString text;         // of reasoning, of a message, or the arguments of a call
  WipedString refusal;      // of a message
  WipedString logprobs;     // of its text: objects with commas between them
  std::string_view member;  // of reasoning: the name that the server gave it, static
  bool has_text = false;
  bool has_refusal = false;
  [[nodiscard]] std::size_t held_bytes() const noexcept {
    return sizeof(OutputItem) + tool.space.size() + tool.name.size() + call_id.size() + text.size() + refusal.size() +
           logprobs.size();
  }
};

// "msg_…_0": of the call's id, and where the item stands in the output.
void append_item_id(Buffer& out, const OutputItem& item, std::size_t position, const dialect::AnswerFacts& facts);
// The call's id in quotes; where the server gave none, one of the call's own.
void append_call_id(Buffer& out, const OutputItem& item, std::size_t position, const dialect::AnswerFacts& facts);
// The item as an object, with what it has so far.
void append_item(Buffer& out, const OutputItem& item, std::size_t position, const dialect::AnswerFacts& facts,
                 ItemStatus status);
// {"type":"output_text",…}
void append_text_part(Buffer& out, std::string_view text, std::string_view logprobs);

// The input of a tool that takes text, as a JSON string, out of its arguments: their one string, or where a model wrote
// no object all of them. `arguments`: the inside of the string that holds them.
void append_text_input(Buffer& out, std::string_view arguments);

// A call as the server begins it, its arguments among what it says if it says them at once.
[[nodiscard]] OutputItem begin_call(const ChatToolCall& call);
// More arguments of it: a string's inside, or of odd servers an object.
void append_arguments(WipedString& into, std::string_view value);

}  // namespace sluice::translate
