// A whole answer as the stream that it should have been, for a server that took no notice of "stream": true.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "dialect/answer.h"

namespace sluice::anthropic {

// Appends the events of a stream that says what `answer` says: the message without its content, each block's beginning,
// what is in it and its end, then why it stopped, the usage, and message_stop. Made to go through a StreamFilter.
// Not: what has not the form of a message.
[[nodiscard]] dialect::Converted append_as_events(Buffer& out, std::string_view answer);

}  // namespace sluice::anthropic
