#include "demo/answer_form.h"

#include <charconv>

#include "demo/words.h"

namespace sluice::demo {
namespace {

// A number as text, on the stack.
class Digits final {
 public:
  explicit Digits(std::uint64_t number) noexcept : end_(std::to_chars(text_, text_ + sizeof text_, number).ptr) {}
  operator std::string_view() const noexcept { return {text_, static_cast<std::size_t>(end_ - text_)}; }  // NOLINT

 private:
  char text_[20];
  char* end_;
};

// Chat and completions share the frame of their chunks; they differ in what a choice holds.
class ChunkForm : public AnswerForm {
 public:
  explicit ChunkForm(const Plan& plan)
      : plan_(plan), reason_before_(plan.faults.has(Fault::kEmptyFinish) ? "\"\"" : "null") {
    const bool chat = plan.ask.kind == Kind::kChat;
    head_ = std::string("{\"id\":\"") + (chat ? "chatcmpl-" : "cmpl-") + plan.id + "\",\"object\":\"" +
            (chat ? "chat.completion.chunk" : "text_completion") + "\",\"created\":" + std::to_string(plan.created) +
            ",\"model\":\"";
    append_escaped(head_, plan.ask.model);
    head_ += "\",\"system_fingerprint\":\"fp_demo\"";
    if (plan.faults.has(Fault::kErrorNull)) head_ += ",\"error\":null";
    head_ += ",\"choices\":[";
  }

  void token(EventText& out, std::uint64_t index) override {
    for (std::uint64_t choice = 0; choice < plan_.ask.choices; ++choice) {
      ++generated_;
      const std::string_view text = choice_token(plan_, choice, index);
      chunk(out, choice, {before_, text, after_}, reason_before_, false);
    }
  }

  void big(EventText& out, std::uint64_t size_bytes) override {
    const std::string text(size_bytes, 'x');
    chunk(out, 0, {before_, text, after_}, reason_before_, false);
  }

  void close(EventText& out) override {
    for (std::uint64_t choice = 0; choice < plan_.ask.choices; ++choice)
      chunk(out, choice, {empty_}, finish_reason(), choice + 1 == plan_.ask.choices);
    const Faults& faults = plan_.faults;
    const bool asked = plan_.ask.include_usage || faults.has(Fault::kUnaskedUsage);
    if (!asked || faults.has(Fault::kNoUsage) || faults.has(Fault::kUsageOnLastChunk)) return;
    out.event({}, {head_, "],\"usage\":", usage_object(plan_, plan_.completion_tokens()), "}"});
  }

 protected:
  using Parts = std::initializer_list<std::string_view>;

  void chunk(EventText& out, std::uint64_t choice, Parts parts, std::string_view reason, bool last) {
    body_.clear();
    for (const std::string_view part : parts) body_ += part;
    const std::string usage = usage_member(last);
    out.event({}, {head_, "{\"index\":", Digits(choice), ",", body_, ",\"logprobs\":null,\"finish_reason\":", reason,
                   "}]", usage, "}"});
  }

  [[nodiscard]] virtual std::string_view finish_reason() const noexcept {
    return plan_.hit_cap ? "\"length\"" : "\"stop\"";
  }

  const Plan& plan_;
  std::string_view before_, after_, empty_;  // around the text of a delta; a delta without any

 private:
  // As OpenAI: null in every chunk where usage was asked for; as some others do, by fault.
  [[nodiscard]] std::string usage_member(bool last) const {
    const Faults& faults = plan_.faults;
    if (faults.has(Fault::kNoUsage)) return {};
    const bool here = faults.has(Fault::kCumulativeUsage) || (last && faults.has(Fault::kUsageOnLastChunk));
    if (here) return ",\"usage\":" + usage_object(plan_, generated_);
    return plan_.ask.include_usage ? ",\"usage\":null" : "";
  }

  std::string_view reason_before_;
  std::string head_;
  std::string body_;
  std::uint64_t generated_ = 0;
};

class ChatForm final : public ChunkForm {
 public:
  explicit ChatForm(const Plan& plan) : ChunkForm(plan) {
    before_ = plan.ask.tool.empty() ? "\"delta\":{\"content\":\""
                                    : "\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"";
    after_ = plan.ask.tool.empty() ? "\"}" : "\"}}]}";
    empty_ = "\"delta\":{}";
  }

  void open(EventText& out) override {
    for (std::uint64_t choice = 0; choice < plan_.ask.choices; ++choice) {
      if (plan_.ask.tool.empty()) {
        chunk(out, choice, {"\"delta\":{\"role\":\"assistant\",\"content\":\"\"}"}, "null", false);
        continue;
      }
      std::string name;
      append_escaped(name, plan_.ask.tool);
      chunk(out, choice, {"\"delta\":{\"role\":\"assistant\",\"content\":null}"}, "null", false);
      chunk(out, choice,
            {"\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_", plan_.id,
             "\",\"type\":\"function\",\"function\":{\"name\":\"", name, "\",\"arguments\":\"\"}}]}"},
            "null", false);
    }
  }

 private:
  [[nodiscard]] std::string_view finish_reason() const noexcept override {
    return plan_.ask.tool.empty() || plan_.hit_cap ? ChunkForm::finish_reason() : "\"tool_calls\"";
  }
};

class CompletionForm final : public ChunkForm {
 public:
  explicit CompletionForm(const Plan& plan) : ChunkForm(plan) {
    before_ = "\"text\":\"";
    after_ = "\"";
    empty_ = "\"text\":\"\"";
  }
  void open(EventText&) override {}
};

// The Responses API: every event has its name, its type and a number.
class ResponseForm final : public AnswerForm {
 public:
  explicit ResponseForm(const Plan& plan) : plan_(plan) {
    frame_ = "{\"id\":\"resp_" + plan.id + "\",\"object\":\"response\",\"created_at\":" + std::to_string(plan.created) +
             ",\"error\":null,\"instructions\":null,\"metadata\":{},\"model\":\"";
    append_escaped(frame_, plan.ask.model);
    frame_ += "\",\"parallel_tool_calls\":true,\"temperature\":1.0,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0";
    item_id_ = (calls() ? "fc_" : "msg_") + plan.id;
    place_ = ",\"item_id\":\"" + item_id_ + "\",\"output_index\":0" + (calls() ? "" : ",\"content_index\":0");
  }

  void open(EventText& out) override {
    for (const std::string_view type : {"response.created", "response.in_progress"})
      event(out, type, {",\"response\":", response("in_progress", false)});
    event(out, "response.output_item.added", {",\"output_index\":0,\"item\":", item("in_progress", {})});
    if (!calls()) event(out, "response.content_part.added", {place_, ",\"part\":", part({})});
  }

  void token(EventText& out, std::uint64_t index) override { delta(out, choice_token(plan_, 0, index)); }

  void big(EventText& out, std::uint64_t size_bytes) override { delta(out, std::string(size_bytes, 'x')); }

  void close(EventText& out) override {
    const std::string text = choice_text(plan_, 0);
    if (calls()) {
      event(out, "response.function_call_arguments.done", {place_, ",\"arguments\":\"", text, "\""});
    } else {
      event(out, "response.output_text.done", {place_, ",\"text\":\"", text, "\",\"logprobs\":[]"});
      event(out, "response.content_part.done", {place_, ",\"part\":", part(text)});
    }
    event(out, "response.output_item.done", {",\"output_index\":0,\"item\":", item("completed", text)});
    event(out, plan_.hit_cap ? "response.incomplete" : "response.completed", {",\"response\":", whole()});
  }

  [[nodiscard]] std::string whole() const { return response(plan_.hit_cap ? "incomplete" : "completed", true); }

 private:
  [[nodiscard]] bool calls() const noexcept { return !plan_.ask.tool.empty(); }

  void delta(EventText& out, std::string_view text) {
    if (calls()) return event(out, "response.function_call_arguments.delta", {place_, ",\"delta\":\"", text, "\""});
    event(out, "response.output_text.delta", {place_, ",\"delta\":\"", text, "\",\"logprobs\":[]"});
  }

  void event(EventText& out, std::string_view type, std::initializer_list<std::string_view> parts) {
    body_.clear();
    for (const std::string_view piece : parts) body_ += piece;
    const std::string_view error = plan_.faults.has(Fault::kErrorNull) ? ",\"error\":null" : "";
    out.event(type, {"{\"type\":\"", type, "\",\"sequence_number\":", Digits(number_++), error, body_, "}"});
  }

  [[nodiscard]] static std::string part(std::string_view text) {
    return "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"" + std::string(text) + "\"}";
  }
  // The message or the function call that is the answer, with the text that it has so far.
  [[nodiscard]] std::string item(std::string_view status, std::string_view text) const {
    std::string json = "{\"id\":\"" + item_id_ + "\",\"status\":\"" + std::string(status) + "\",\"type\":\"";
    if (!calls())
      return json + "message\",\"role\":\"assistant\",\"content\":[" +
             (status == "in_progress" ? std::string() : part(text)) + "]}";
    json += "function_call\",\"call_id\":\"call_" + plan_.id + "\",\"name\":\"";
    append_escaped(json, plan_.ask.tool);
    return json + "\",\"arguments\":\"" + std::string(text) + "\"}";
  }
  [[nodiscard]] std::string response(std::string_view status, bool ended) const {
    const bool usage = ended && !plan_.faults.has(Fault::kNoUsage);
    std::string text = frame_ + ",\"status\":\"" + std::string(status) + "\",\"incomplete_details\":" +
                       (ended && plan_.hit_cap ? "{\"reason\":\"max_output_tokens\"}" : "null") + ",\"output\":[";
    if (ended) text += item("completed", choice_text(plan_, 0));
    return text + "],\"usage\":" + (usage ? usage_object(plan_, plan_.tokens) : "null") + "}";
  }

  const Plan& plan_;
  std::string frame_, item_id_, place_, body_;
  std::uint64_t number_ = 0;
};

}  // namespace

std::unique_ptr<AnswerForm> make_form(const Plan& plan) {
  switch (plan.ask.kind) {
    case Kind::kCompletion:
      return std::make_unique<CompletionForm>(plan);
    case Kind::kResponse:
      return std::make_unique<ResponseForm>(plan);
    default:
      return std::make_unique<ChatForm>(plan);
  }
}

std::string whole_response(const Plan& plan) { return ResponseForm(plan).whole(); }

}  // namespace sluice::demo
