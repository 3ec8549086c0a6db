// Reads what a call asks for out of its JSON body, and edits the body by splices: what is not edited reaches the
// upstream byte for byte.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "dialect/call_body.h"
#include "openai/endpoint.h"
#include "wire/parser.h"

namespace sluice::openai {

using dialect::CallBody;
using dialect::EditedBody;
using dialect::Edits;
using dialect::Member;
using dialect::OutputCap;

// CallBody::own and CallBody::own_marks.
inline constexpr std::size_t kStreamOptions = 0;        // the member's value
inline constexpr std::size_t kIncludeUsage = 1;         // the value of its include_usage
inline constexpr std::uint8_t kStreamOptionsNull = 1;   // null, to be replaced as a whole
inline constexpr std::uint8_t kStreamOptionsEmpty = 2;  // {}: an inserted member takes no comma

// One simdjson On-Demand walk over all top-level members, unescaping each name.
// REQUIRES: simdjson::SIMDJSON_PADDING readable bytes behind `body` (Buffer::prepare gives them).
// Errors (all kBadRequest, static text): not an object, a member that we read or edit occurs twice (unescaped, ASCII
// case-folded), wrong type, bytes other than white space behind the object, model missing, a value that this endpoint
// does not support (responses: background without store), or that refers to what the model server stores (stored_state.h). The id
// of a stored prompt is told, for the caller to decide. A name that differs from one of ours in case alone is refused
// too: a server that folds case would read it.
[[nodiscard]] Result<CallBody> read_call(const Endpoint& endpoint, std::string_view body,
                                         wire::Parser& parser) noexcept;

// What an image is expected to take: as many tokens as one of high quality.
inline constexpr std::uint64_t kTokensPerImage = 4'160;

// The two names that a cap has in chats.
inline constexpr std::string_view kMaxTokens = "max_tokens";
inline constexpr std::string_view kMaxCompletionTokens = "max_completion_tokens";
// The member that a cap is inserted as. `of_chats`: Edits::cap_member.
[[nodiscard]] std::string_view cap_member(Api api, std::string_view of_chats) noexcept;

// Every cap present ends at or below the clamp; a value that is already there stays as it was spelt. With no cap
// present the endpoint's own is inserted.
// Lifetime: `body` and `into` outlive the use of the parts.
void edit_body(const Endpoint& endpoint, const CallBody& call, std::string_view body, const Edits& edits,
               EditedBody& into);

}  // namespace sluice::openai
