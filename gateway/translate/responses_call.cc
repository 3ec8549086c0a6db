#include "translate/responses_call.h"

#include <algorithm>
#include <array>

#include "translate/json_steps.h"
#include "translate/json_write.h"
#include "translate/responses_input.h"
#include "translate/responses_tools.h"
#include "wire/raw_string.h"

namespace sluice::translate {
namespace {

// Members that a chat has under the same name.
constexpr std::array<std::string_view, 19> kSameInBoth = {
    "stream",
    "temperature",
    "top_p",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "seed",
    "stop",
    "frequency_penalty",
    "logit_bias",
    "presence_penalty",
    "repetition_penalty",
    "top_k",
    "min_p",
    "service_tier",
    "n_predict",
    "chat_template_kwargs",
    "thinking",
    "enable_thinking",
};

// Members that refer to something that would have to be stored, or run, where the model is.
struct RefusedMember {
  std::string_view name;
  const char* what;
};
constexpr RefusedMember kRefused[] = {
    {"previous_response_id",
     "'previous_response_id' names a stored response, and for this model, whose server speaks chat completions, none "
     "is stored; send the whole conversation in 'input', and 'store': false."},
    {"conversation",
     "'conversation' names a stored conversation, and for this model, whose server speaks chat completions, none is "
     "stored; send the whole conversation in 'input', and 'store': false."},
    {"prompt",
     "'prompt' names a stored prompt, and for this model, whose server speaks chat completions, none is stored; send "
     "its text in 'instructions' and 'input'."},
};
constexpr const char* kBackground =
    "'background': true needs a server that stores responses, and the one of this model speaks chat completions; leave "
    "it out or give false.";
constexpr const char* kFormat = "'text.format.type' must be 'text', 'json_object' or 'json_schema'.";

class ChatBody final {
 public:
  explicit ChatBody(Buffer& out) : out_(out) {}

  Status write(std::string_view body) {
    out_.append("{");
    each_member(body, [this](std::string_view name, std::string_view value) { take(name, value); });
    SLUICE_TRY(status_);
    if (!model_.empty()) append_named(out_, "model", model_);
    append_named(out_, "messages");
    SLUICE_TRY(append_chat_messages(out_, instructions_, input_, tools_.lists));
    SLUICE_TRY(append_chat_tools(out_, tools_));
    write_format();
    write_reasoning();
    write_logprobs();
    out_.append("}");
    return status_;
  }

 private:
  void fail(const char* what) noexcept {
    if (status_) status_ = client_error(ErrorKind::kBadRequest, what);
  }

  void take(std::string_view name, std::string_view value) {
    if (name == "model") model_ = value;
    if (name == "instructions") instructions_ = value;
    if (name == "input") input_ = value;
    if (name == "tools") tools_.lists.push_back(value);
    if (name == "tool_choice") tools_.choice = value;
    if (name == "parallel_tool_calls") tools_.parallel = value;
    if (name == "text") text_ = value;
    if (name == "reasoning") reasoning_ = value;
    if (name == "verbosity") verbosity_ = value;
    if (name == "reasoning_effort") effort_ = value;
    if (name == "top_logprobs") top_logprobs_ = value;
    if (name == "include") include_ = value;
    if (name == "background" && value == "true") fail(kBackground);
    for (const RefusedMember& refused : kRefused) {
      if (name == refused.name && is_said(value) && value != "\"\"") fail(refused.what);
    }
    if (std::ranges::find(kSameInBoth, name) != kSameInBoth.end() && is_said(value)) append_named(out_, name, value);
  }

  // text.format has the members of response_format.json_schema beside its type.
  void write_format() {
    write_either("verbosity", wire::skim_find(text_, "verbosity"), verbosity_);
    const std::string_view format = wire::skim_find(text_, "format");
    const std::string_view type = wire::skim_find(format, "type");
    if (!is_said(type) || is_text(type, "text")) return;
    if (is_text(type, "json_object")) return append_named(out_, "response_format", R"({"type":"json_object"})");
    if (!is_text(type, "json_schema")) return fail(kFormat);
    append_named(out_, "response_format", R"({"type":"json_schema","json_schema":{)");
    each_member_as_it_stands(format, [this](std::string_view name, std::string_view value) {
      if (name != "type" && is_said(value)) append_named(out_, name, value);
    });
    out_.append("}}");
  }

  void write_reasoning() { write_either("reasoning_effort", wire::skim_find(reasoning_, "effort"), effort_); }

  // Once: what the API says in a member of its own, else what stands there under the chat's name.
  void write_either(std::string_view name, std::string_view own, std::string_view same) {
    const std::string_view value = is_said(own) ? own : same;
    if (is_said(value)) append_named(out_, name, value);
  }

  void write_logprobs() {
    bool wanted = is_said(top_logprobs_) && wire::skim_count(top_logprobs_) != 0;
    if (wanted) append_named(out_, "top_logprobs", top_logprobs_);
    each_element(include_,
                 [&](std::string_view what) { wanted = wanted || is_text(what, "message.output_text.logprobs"); });
    if (wanted) append_named(out_, "logprobs", "true");
  }

  Buffer& out_;
  std::string_view model_, instructions_, input_, text_, reasoning_, top_logprobs_, include_, verbosity_, effort_;
  OfferedTools tools_;
  Status status_ = ok();
};

}  // namespace

Status append_chat_body(Buffer& out, std::string_view body) noexcept {
  const std::size_t brace = body.find('{');
  return ChatBody(out).write(brace == std::string_view::npos ? body : body.substr(brace));
}

}  // namespace sluice::translate
