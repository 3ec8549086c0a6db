// Parts of a message that streams and whole answers have alike.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/usage.h"
#include "dialect/translation.h"

namespace sluice::translate {

void append_number(Buffer& out, std::uint64_t number);
// "text", escaped.
void append_string(Buffer& out, std::string_view text);
// {"id":"msg_…","type":"message","role":"assistant","model":"…"
void append_message_head(Buffer& out, const dialect::AnswerFacts& facts);
// {"input_tokens":…,"cache_creation_input_tokens":…,"cache_read_input_tokens":…,"output_tokens":…}: what was read from a
// cache or written to one is no input then.
void append_usage(Buffer& out, const Usage& usage);
// "toolu_…", for a call that came without an id.
void append_call_id(Buffer& out, const dialect::AnswerFacts& facts, std::uint64_t position);

// Whether the inside of a string is white space, or nothing.
[[nodiscard]] bool is_white(std::string_view inside) noexcept;

}  // namespace sluice::translate
