// As what the cap of a chat is sent to a model server, where we add one.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

// kAuto: the API's own name, or the other where a place has refused that.
enum class CapMember : std::uint8_t { kAuto, kMaxTokens, kMaxCompletionTokens };

// What it is called: in conf files, on the agent's command line and in its hello.
inline constexpr std::string_view kCapMemberNames[] = {"auto", "max_tokens", "max_completion_tokens"};

}  // namespace sluice
