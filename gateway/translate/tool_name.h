// Names of tools on their way through a chat server, which knows functions alone and none of the spaces that Responses
// groups tools in. A function's name says all of it, so that the answer needs nothing of the call to be read:
//
//   [ "ns" LENGTH "__" SPACE "__" ] NAME [ "__custom" / "__shell" / "__function" ]
//
// LENGTH is the space's in bytes, 0 stands before a name of no space that would read as one of a space. The last part
// says what is no function, and "__function" stands behind a function's name that would read as something else. So every
// name has one spelling and every spelling one name; nearly all are spelt as they are.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/wiped_string.h"

namespace sluice::translate {

enum class ToolKind : std::uint8_t {
  kFunction,
  kCustom,  // takes text, not JSON
  kShell,   // local_shell: the API's own, run by the client
};

struct ToolName {
  ToolKind kind = ToolKind::kFunction;
  WipedString space;  // unescaped; empty: none
  WipedString name;
};

// Appends the function's name. REQUIRES: unescaped names.
void append_function_name(WipedString& into, ToolKind kind, std::string_view space, std::string_view name);

// What a function's name stands for; a name that nobody made so is a function's of no space.
[[nodiscard]] ToolName tool_of(std::string_view function_name);

}  // namespace sluice::translate
