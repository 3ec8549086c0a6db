// A whole answer as the stream that it should have been, for a server that took no notice of "stream": true.
#pragma once

#include <cstdint>
#include <string_view>

#include "dialect/answer.h"
#include "openai/endpoint.h"

namespace sluice::openai {

using dialect::Converted;

// Appends the events of a stream that says what `answer` says, as an upstream would have sent them: for chat each
// choice's role, what is in its message (tool calls with their index) and its finish, then the usage; for completions
// the answer itself as one chunk; then [DONE]. Made to go through a StreamFilter.
// Not: Responses, whose events an answer does not tell, and what has not the form of an answer.
[[nodiscard]] Converted append_as_events(Buffer& out, const Endpoint& endpoint, std::string_view answer);

}  // namespace sluice::openai
