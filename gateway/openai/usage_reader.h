// Token counts out of a usage object, in every shape that servers of this dialect and its neighbours send.
#pragma once

#include <optional>
#include <string_view>

#include "base/usage.h"

namespace sluice::openai {

// `object` is the text of a usage object: chat and completions (prompt_tokens, …), Responses, images and audio
// (input_tokens, …), Anthropic (whose cached tokens are not part of its input_tokens). None: null, not an object, audio
// by duration, or all zero, which is how some servers say that they have not counted.
[[nodiscard]] std::optional<Usage> read_usage(std::string_view object) noexcept;

}  // namespace sluice::openai
