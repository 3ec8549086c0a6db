// As what the cap of a chat is sent to a model server, where we add one.
#pragma once

#include <cstdint>

namespace sluice {

// kAuto: the API's own name, or the other where a place has refused that.
enum class CapMember : std::uint8_t { kAuto, kMaxTokens, kMaxCompletionTokens };

}  // namespace sluice
