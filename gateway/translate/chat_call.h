// A call of POST /v1/messages as one of POST /v1/chat/completions.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice::translate {

// Appends the body, without its cap: the exchange puts that in under the name that the place knows. Strings, schemas and
// a tool's input go as they stand, byte for byte. REQUIRES: anthropic::read_call() took `body`.
// Errors: kBadRequest, with static text that says what cannot be asked for over a chat API.
[[nodiscard]] Status append_chat_call(Buffer& out, std::string_view body) noexcept;

// Thinking goes back to the server whose it was, and to no other: the signature that we give it says by which member it
// came. Empty: it is another's.
[[nodiscard]] std::string_view thinking_member(std::string_view signature) noexcept;
inline constexpr std::string_view kSignatureMark = "sluice:";

}  // namespace sluice::translate
