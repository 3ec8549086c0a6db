// Reads what a call asks for out of its JSON body, and edits the body by splices: what is not edited reaches the
// upstream byte for byte.
#pragma once

#include <string_view>

#include "anthropic/endpoint.h"
#include "base/result.h"
#include "dialect/call_body.h"
#include "wire/parser.h"

namespace sluice::anthropic {

inline constexpr std::string_view kMaxTokens = "max_tokens";

// CallBody::own.
inline constexpr std::size_t kThinkingBudget = 0;  // the value of thinking.budget_tokens

// One simdjson On-Demand walk over all top-level members, unescaping each name.
// REQUIRES: simdjson::SIMDJSON_PADDING readable bytes behind `body` (Buffer::prepare gives them).
// Errors (all kBadRequest, static text): not an object, a member that we read or edit occurs twice (unescaped, ASCII
// case-folded) or is spelt in another case, wrong type, bytes other than white space behind the object, model missing,
// max_tokens missing where the API needs it, a member that reaches beyond the call (stored_state.h).
[[nodiscard]] Result<dialect::CallBody> read_call(const Endpoint& endpoint, std::string_view body,
                                                  wire::Parser& parser) noexcept;

// max_tokens ends at or below the clamp, and thinking.budget_tokens below that, which the API asks for; a value that is
// already there stays as it was spelt.
// Lifetime: `body` and `into` outlive the use of the parts.
void edit_body(const dialect::CallBody& call, std::string_view body, const dialect::Edits& edits,
               dialect::EditedBody& into);

}  // namespace sluice::anthropic
