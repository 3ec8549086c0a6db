#include "translate/response_answer.h"

#include "dialect/usage_reader.h"
#include "translate/json_steps.h"
#include "translate/json_write.h"
#include "translate/message_parts.h"
#include "translate/response_object.h"

namespace sluice::translate {
namespace {

// The message of a chat, item by item.
class MessageItems final {
 public:
  std::vector<OutputItem> read(const ChatDelta& message, std::string_view logprobs) {
    add_reasoning(inside_of(message.reasoning_content), "reasoning_content");
    if (items_.empty()) add_reasoning(inside_of(message.reasoning), "reasoning");
    each_string(message.content, [this](bool thinking, std::string_view inside) {
      if (thinking) return add_reasoning(inside, {});
      if (!inside.empty()) said().text.append(inside);
    });
    const bool calls = is_array(message.tool_calls) || is_object(message.function_call);
    if (!items_.empty() && items_.back().kind == ItemKind::kMessage) {
      if (calls && is_white(items_.back().text)) {
        items_.pop_back();
      } else {
        items_.back().has_text = true;
        each_element(wire::skim_find(logprobs, "content"), [this](std::string_view entry) {
          WipedString& kept = items_.back().logprobs;
          kept.append(kept.empty() ? "" : ",").append(entry);
        });
      }
    }
    add_refusal(inside_of(message.refusal));
    each_call(message, [this](const ChatToolCall& call) { add_call(call); });
    return std::move(items_);
  }

 private:
  void add_reasoning(std::string_view inside, std::string_view member) {
    if (inside.empty()) return;
    if (items_.empty() || items_.back().kind != ItemKind::kReasoning) {
      OutputItem& item = items_.emplace_back();
      item.kind = ItemKind::kReasoning;
      item.member = member;
    }
    items_.back().text.append(inside);
  }

  OutputItem& said() {
    if (items_.empty() || items_.back().kind != ItemKind::kMessage) items_.emplace_back();
    return items_.back();
  }

  void add_refusal(std::string_view inside) {
    if (inside.empty()) return;
    said().refusal.assign(inside);
    said().has_refusal = true;
  }

  void add_call(const ChatToolCall& call) {
    OutputItem& item = items_.emplace_back(begin_call(call));
    append_arguments(item.text, call.arguments);
    if (item.text.empty()) item.text = "{}";
  }

  std::vector<OutputItem> items_;
};

}  // namespace

dialect::Converted append_response_of(Buffer& out, std::string_view answer, const dialect::AnswerFacts& facts) {
  std::string_view choices, usage, created;
  each_member(answer, [&](std::string_view name, std::string_view value) {
    if (name == "choices") choices = value;
    if (name == "usage") usage = value;
    if (name == "created") created = value;
  });
  const ChatChoice choice = read_first_choice(choices);
  if (!is_object(choice.said)) return dialect::Converted::kNot;
  const std::vector<OutputItem> items = MessageItems().read(read_delta(choice.said), choice.logprobs);
  ResponseObject response{.status = response_status_of(choice.finish_reason), .created = created, .output = items};
  if (const auto told = dialect::read_usage(usage)) {
    response.usage = told->usage;
  } else {
    response.usage = own_usage(items, facts);
  }
  append_response(out, response, facts);
  return dialect::Converted::kDone;
}

}  // namespace sluice::translate
