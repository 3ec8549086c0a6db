// A call of POST /v1/responses as one of POST /v1/chat/completions.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice::translate {

// Appends the body, without its cap: the exchange puts that in under the name that the place knows. Strings, schemas and
// arguments go as they stand, byte for byte. Left out is what asks for nothing that a chat could do: store, include,
// truncation, metadata and what is not known; sampling members of model servers (top_k, seed, stop, …) are known.
// REQUIRES: openai::read_call() took `body`.
// Errors: kBadRequest, with static text that says what cannot be asked for over a chat API.
[[nodiscard]] Status append_chat_body(Buffer& out, std::string_view body) noexcept;

}  // namespace sluice::translate
