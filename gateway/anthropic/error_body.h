// The one place where an Error becomes what a client of Anthropic's API sees: status, error object, and the headers that
// steer SDKs.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/refusal_kind.h"
#include "dialect/error_answer.h"

namespace sluice::anthropic {

using dialect::ErrorAnswer;

// {"type":"error","error":{"type":…,"message":…}}, the types as the API's reference has them ("Errors").
// `message` empty: error.what.
[[nodiscard]] ErrorAnswer error_answer(const Error& error, std::string_view message = {});

// The error that an upstream answered with, in any form, in the dialect's. A type of the dialect is kept where it goes
// with the status; else the status says it. A 404 of a server that does not have the path becomes 400, as 501 does, and
// says what to do: clients take a 404 for an unknown model. 401, 402 and 403 of an upstream become 502: the caller's key
// is not at fault; a 403 that speaks of moderation stays one, and so does 529. A prompt beyond the model's context is told
// in the words that clients of this API look for.
// REQUIRES: padding as read_call.
[[nodiscard]] ErrorAnswer upstream_answer(std::uint16_t status, std::string_view body);

// The error in a whole answer that came under a 2xx status; none: it has no error.
[[nodiscard]] std::optional<ErrorAnswer> error_in_answer(std::string_view body);

// The error in an event of a stream.
[[nodiscard]] ErrorAnswer error_in_event(std::string_view data);

// "event: error", and the body as its data.
[[nodiscard]] WipedString error_event(const ErrorAnswer& answer);

// ,"request_id":"…" at the body's end.
void add_request_id(ErrorAnswer& answer, std::string_view request_id);

}  // namespace sluice::anthropic
