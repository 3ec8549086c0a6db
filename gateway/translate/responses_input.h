// The conversation of a call of POST /v1/responses as the messages of a chat.
#pragma once

#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice::translate {

// Appends the array of messages. `instructions` and `input`: the members' values, empty where absent. What a turn of the
// model is made of (reasoning, text, calls) is one message in a chat. Instructions and what system and developer say
// before anything else are one system message, because many templates take one, and only at the beginning; "developer"
// is not known to all.
//
// Reasoning goes back with its turn under the name by which the server sent it, which `encrypted_content` says (servers of
// DeepSeek, Kimi and others want it back between calls of tools); what came from elsewhere is left out, for it says nothing
// to this server. So is what tools did that OpenAI runs.
//
// `more_tools` gets the lists of tools that items add (additional_tools).
// Error: kBadRequest, with static text that says which kind of item or part cannot be said in a chat.
[[nodiscard]] Status append_chat_messages(Buffer& out, std::string_view instructions, std::string_view input,
                                          std::vector<std::string_view>& more_tools);

}  // namespace sluice::translate
