// The paths by which clients of Azure OpenAI ask for the same endpoints:
//
//   /openai/deployments/{model}/chat/completions?api-version=…   the model in the path, whatever the body says
//   /openai/models?api-version=…                                 where no model is called, or the body names it
//   /openai/v1/chat/completions                                  Azure's newer API: OpenAI's paths behind a prefix
//
// https://learn.microsoft.com/azure/ai-services/openai/reference
#pragma once

#include <span>
#include <string_view>

#include "dialect/dialect.h"

namespace sluice::openai {

// The endpoint's own path, made in `scratch`, and the model's name as a part of `path`. None: it is no path of Azure's,
// or longer than `scratch`.
[[nodiscard]] dialect::Alias azure_alias(std::string_view path, std::span<char> scratch) noexcept;

}  // namespace sluice::openai
