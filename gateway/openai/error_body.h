// The one place where an Error becomes what the client sees: status, OpenAI error object, and the headers that steer
// SDKs.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/refusal_kind.h"
#include "dialect/error_answer.h"

namespace sluice::openai {

using dialect::ErrorAnswer;

// {"error":{"message":…,"type":…,"param":null,"code":…}}. `message` empty: error.what. `why` chooses the type of what
// a limit or a budget refused.
[[nodiscard]] ErrorAnswer error_answer(const Error& error, std::string_view message = {},
                                       RefusalKind why = RefusalKind::kNone);

// The error that an upstream answered with, in any form (nested, flat, a list, a string, HTML, empty, integer code), as
// the nested form with four keys; code a string or null. Knows context overflows (400 context_length_exceeded). The
// upstream's words are kept for the client where they are JSON text, bounded, and never logged. 401, 402 and 403 of an
// upstream become 502: the caller's key is not at fault; a 403 that speaks of moderation stays one.
// REQUIRES: padding as read_call.
[[nodiscard]] ErrorAnswer upstream_answer(std::uint16_t status, std::string_view content_type, std::string_view body);

// The error in a whole answer that came under a 2xx status, as some servers do; none: it has no error. Its integer code
// is taken for the status where it is one.
[[nodiscard]] std::optional<ErrorAnswer> error_in_answer(std::string_view body);

// The same as an SSE event: "data: {…}\n\n".
[[nodiscard]] WipedString error_event(const ErrorAnswer& answer);

}  // namespace sluice::openai
