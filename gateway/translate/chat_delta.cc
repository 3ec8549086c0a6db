#include "translate/chat_delta.h"

namespace sluice::translate {

ChatDelta read_delta(std::string_view object) noexcept {
  ChatDelta delta;
  wire::Skimmer skimmer(object);
  if (skimmer.open('{') != wire::Skim::kMember) return delta;
  wire::SkimMember member;
  while (skimmer.member(member) == wire::Skim::kMember) {
    if (member.name == "content") delta.content = member.value;
    if (member.name == "reasoning_content") delta.reasoning_content = member.value;
    if (member.name == "reasoning") delta.reasoning = member.value;
    if (member.name == "tool_calls") delta.tool_calls = member.value;
    if (member.name == "refusal") delta.refusal = member.value;
    if (member.name == "function_call") delta.function_call = member.value;
  }
  return delta;
}

ChatChoice read_first_choice(std::string_view choices) noexcept {
  wire::Skimmer list(choices);
  std::string_view element;
  if (list.open('[') != wire::Skim::kMember) return {};
  while (list.element(element) == wire::Skim::kMember) {
    ChatChoice choice;
    std::uint64_t index = 0;
    wire::Skimmer skimmer(element);
    if (skimmer.open('{') != wire::Skim::kMember) continue;
    wire::SkimMember member;
    while (skimmer.member(member) == wire::Skim::kMember) {
      if (member.name == "index") index = wire::skim_count(member.value);
      if (member.name == "delta" || member.name == "message") choice.said = member.value;
      if (member.name == "finish_reason") choice.finish_reason = inside_of(member.value);
      if (member.name == "logprobs") choice.logprobs = member.value;
      const bool stop = member.name == "stop_reason" || member.name == "matched_stop";
      if (stop && wire::is_string(member.value)) choice.stop = member.value;
    }
    if (index == 0) return choice;
  }
  return {};
}

ChatToolCall read_tool_call(std::string_view object) noexcept {
  ChatToolCall call;
  const auto read_function = [&](std::string_view name, std::string_view value) {
    if (name == "name") call.name = inside_of(value);
    if (name == "arguments" && value != "null") call.arguments = value;
  };
  each_member(object, [&](std::string_view name, std::string_view value) {
    if (name == "index" && value != "null") call.index = wire::skim_count(value);
    if (name == "id") call.id = inside_of(value);
    if (name == "function") each_member(value, read_function);
    read_function(name, value);
  });
  return call;
}

// "stop" beside calls is what some servers say of them.
std::string_view stop_reason_of(std::string_view finish_reason, std::string_view stop, ToolsCalled tools) noexcept {
  if (finish_reason == "length") return "max_tokens";
  if (finish_reason == "content_filter") return "refusal";
  if (tools == ToolsCalled::kYes) return "tool_use";
  return stop.empty() ? "end_turn" : "stop_sequence";
}

}  // namespace sluice::translate
