// A whole answer of a chat as a response.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "dialect/translation.h"

namespace sluice::translate {

// kNot: it has no choice. REQUIRES: `answer` is one of chat.completions, as its dialect's WholeAnswer found it.
[[nodiscard]] dialect::Converted append_response_of(Buffer& out, std::string_view answer,
                                                    const dialect::AnswerFacts& facts);

}  // namespace sluice::translate
