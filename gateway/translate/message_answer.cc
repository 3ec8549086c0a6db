#include "translate/message_answer.h"

#include "dialect/usage_reader.h"
#include "translate/chat_call.h"
#include "translate/chat_delta.h"
#include "translate/json_write.h"
#include "translate/message_parts.h"
#include "wire/json_check.h"

namespace sluice::translate {
namespace {

class Message final {
 public:
  Message(Buffer& out, const dialect::AnswerFacts& facts) noexcept : out_(out), facts_(facts) {}

  dialect::Converted write(std::string_view answer) {
    std::string_view choices, usage;
    each_member(answer, [&](std::string_view name, std::string_view value) {
      if (name == "choices") choices = value;
      if (name == "usage") usage = value;
    });
    const ChatChoice choice = read_first_choice(choices);
    if (!is_object(choice.said)) return dialect::Converted::kNot;
    append_message_head(out_, facts_);
    out_.append(R"(,"content":[)");
    write_content(read_delta(choice.said));
    const std::string_view reason = refused_ ? "refusal" : stop_reason_of(choice.finish_reason, choice.stop, calls_);
    out_.append(R"(],"stop_reason":")");
    out_.append(reason);
    out_.append(R"(","stop_sequence":)");
    out_.append(reason == "stop_sequence" ? choice.stop : std::string_view("null"));
    out_.append(R"(,"usage":)");
    const std::optional<dialect::UsageReading> told = dialect::read_usage(usage);
    append_usage(out_,
                 told ? told->usage
                      : Usage{.prompt_tokens = facts_.prompt_estimate, .completion_tokens = (said_bytes_ + 3) / 4});
    out_.append("}");
    return dialect::Converted::kDone;
  }

 private:
  void write_content(const ChatDelta& message) {
    const bool longer = !inside_of(message.reasoning_content).empty();
    write_thinking(inside_of(longer ? message.reasoning_content : message.reasoning),
                   longer ? "reasoning_content" : "reasoning");
    each_string(message.content, [this](bool thinking, std::string_view inside) {
      if (thinking) {
        write_thinking(inside, {});
      } else {
        write_text(inside);
      }
    });
    const std::string_view refusal = inside_of(message.refusal);
    refused_ = !refusal.empty();
    write_text(refusal);
    each_call(message, [this](const ChatToolCall& call) { write_call(call); });
  }

  void begin_block() {
    if (blocks_++ != 0) out_.append(",");
  }

  void write_thinking(std::string_view inside, std::string_view member) {
    if (is_white(inside)) return;
    begin_block();
    out_.append(R"({"type":"thinking","thinking":)");
    say(inside);
    out_.append(R"(,"signature":")");
    if (!member.empty()) out_.append(kSignatureMark);
    out_.append(member);
    out_.append("\"}");
  }

  void write_text(std::string_view inside) {
    if (is_white(inside)) return;
    begin_block();
    out_.append(R"({"type":"text","text":)");
    say(inside);
    out_.append("}");
  }

  void write_call(const ChatToolCall& call) {
    begin_block();
    out_.append(R"({"type":"tool_use","id":)");
    if (call.id.empty()) {
      append_call_id(out_, facts_, blocks_);
    } else {
      say(call.id);
    }
    out_.append(R"(,"name":)");
    say(call.name);
    out_.append(R"(,"input":)");
    write_input(call.arguments);
    out_.append("}");
    calls_ = ToolsCalled::kYes;
  }

  // JSON in a string, to the letter. What a model wrote that is none goes as text, so that the tool can say so.
  void write_input(std::string_view arguments) {
    if (is_object(arguments) && wire::is_json_object(arguments)) return out_.append(arguments);
    const std::string_view inside = inside_of(arguments);
    if (is_white(inside)) return out_.append("{}");
    Buffer decoded;
    const std::string_view value = wire::unescape(inside, decoded.prepare(inside.size()));
    decoded.commit(value.size());
    if (wire::is_json_object(value)) return out_.append(value);
    out_.append(R"({"raw_arguments":)");
    say(inside);
    out_.append("}");
  }

  // What stood in a string.
  void say(std::string_view inside) {
    append_quoted(out_, inside);
    said_bytes_ += inside.size();
  }

  Buffer& out_;
  const dialect::AnswerFacts& facts_;
  std::uint64_t blocks_ = 0;
  std::uint64_t said_bytes_ = 0;
  ToolsCalled calls_ = ToolsCalled::kNo;
  bool refused_ = false;
};

}  // namespace

dialect::Converted append_message(Buffer& out, std::string_view answer, const dialect::AnswerFacts& facts) {
  return Message(out, facts).write(answer);
}

}  // namespace sluice::translate
