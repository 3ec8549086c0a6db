// What a message of a chat, or a piece of one, says, in the order in which a client of Messages gets it.
#pragma once

#include <cstdint>
#include <string_view>

#include "translate/json_steps.h"

namespace sluice::translate {

// Members of a delta, or of a whole message: views as they stand.
struct ChatDelta {
  std::string_view reasoning, reasoning_content, content, refusal, tool_calls, function_call;
};
[[nodiscard]] ChatDelta read_delta(std::string_view object) noexcept;

// One choice: of a chunk or of a whole answer.
struct ChatChoice {
  std::string_view said;           // its delta or message
  std::string_view finish_reason;  // the inside of the string; empty: none
  std::string_view logprobs;       // the value
  std::string_view stop;           // the sequence that ended it, where the server tells (vLLM, SGLang): a string
};
// The one with index 0 of a list: a translated call asks for one alone. An empty `said`: there is none.
[[nodiscard]] ChatChoice read_first_choice(std::string_view choices) noexcept;

// An entry of tool_calls, or a function_call of old servers.
struct ChatToolCall {
  static constexpr std::uint64_t kNoIndex = ~std::uint64_t{0};
  std::uint64_t index = kNoIndex;
  std::string_view id, name;   // insides of strings; empty: not said
  std::string_view arguments;  // the value: a string, or of odd servers an object
};
[[nodiscard]] ChatToolCall read_tool_call(std::string_view object) noexcept;

inline constexpr std::size_t kMostReasonBytes = 64;  // of a finish_reason: a word
inline constexpr std::size_t kMostStopBytes = 4096;  // of a stop sequence that was met
inline constexpr std::size_t kMostCalls = 512;       // of an answer: what else calls are is no list of calls

// each(call): those of tool_calls, and the function_call of old servers. Calls that begin with neither a number nor an id
// are told apart by their places. More than kMostCalls at once are no calls.
template <class Each>
void each_call(const ChatDelta& delta, Each&& each) {
  std::uint64_t place = 0;
  each_element(delta.tool_calls, [&](std::string_view entry) {
    if (place == kMostCalls) return;
    ChatToolCall call = read_tool_call(entry);
    if (call.index == ChatToolCall::kNoIndex && call.id.empty() && !call.name.empty()) call.index = place;
    ++place;
    each(call);
  });
  if (!is_object(delta.function_call)) return;
  ChatToolCall call = read_tool_call(delta.function_call);
  call.index = 0;
  each(call);
}

// each(thinking, inside): the strings of a content, which is one or, of some servers (Mistral), a list of parts.
template <class Each>
void each_string(std::string_view content, Each&& each) {
  if (wire::is_string(content)) return each(false, wire::unquoted(content));
  each_element(content, [&](std::string_view part) {
    each_member(part, [&](std::string_view name, std::string_view value) {
      if (name == "text") each(false, inside_of(value));
      if (name != "thinking") return;
      each(true, inside_of(value));
      each_element(value, [&](std::string_view inner) { each(true, inside_of(wire::skim_find(inner, "text"))); });
    });
  });
}

// What ended an answer, as Messages says it. `finish_reason`: of the chat.
enum class ToolsCalled : std::uint8_t { kNo, kYes };
[[nodiscard]] std::string_view stop_reason_of(std::string_view finish_reason, std::string_view stop,
                                              ToolsCalled tools) noexcept;

}  // namespace sluice::translate
