// The tools of a call of POST /v1/responses as functions of a chat.
#pragma once

#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice::translate {

// The members that say what may be called: views of the body.
struct OfferedTools {
  std::vector<std::string_view> lists;  // 'tools', and what items of the input add to it
  std::string_view choice;              // 'tool_choice'
  std::string_view parallel;            // 'parallel_tool_calls'
};

// Appends the members tools, tool_choice and parallel_tool_calls, none of them where nothing can be called. A tool that
// is given as text (custom) becomes a function with the one string `input`; the names of those and of tools in a
// namespace are spelt as tool_name.h says. Tools that OpenAI runs itself and that clients add by themselves (web_search,
// image_generation, tool_search) are left out.
// Error: kBadRequest, with static text: a tool that the call's author counts on and that no chat server has.
[[nodiscard]] Status append_chat_tools(Buffer& out, const OfferedTools& offered);

// As what a tool's argument stands that is given as text.
inline constexpr std::string_view kTextArgument = "input";

}  // namespace sluice::translate
