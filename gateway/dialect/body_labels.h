// Labels in a call's body, whatever its dialect: `_meta`, which is ours and is taken out before the call goes on,
//
//   {"model":"m","_meta":{"team":"red","ticket":4711},"messages":[…]}
//               \______________ cut ________________/
//
// and members that the dialect has and the upstream gets as well (`user`, `metadata`).
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"
#include "dialect/call_body.h"
#include "wire/parser.h"

namespace sluice::dialect {

inline constexpr std::size_t kMostLabels = 16;
inline constexpr std::size_t kMostLabelBytes = 16 * 1024;  // of an object of them, as it stands in the body

// Each label, unescaped, as it is found. Lifetime: of the call.
using TakeLabel = std::function<void(std::string_view name, std::string_view value)>;

// Gives the labels of `_meta`, and notes in `call` what is to be cut out of the body. REQUIRES: call.labels.meta is
// present; padding as read_call().
// Errors: kBadRequest, with static text: it is no object of up to 16 strings and numbers.
[[nodiscard]] Status take_meta(CallBody& call, std::string_view body, wire::Parser& parser, const TakeLabel& take);

// Gives what a member of the dialect's own says: its value under its name, or of an object its strings and numbers, each
// as "metadata.KEY". What is anything else gives nothing.
void read_label_member(const Member& member, std::string_view name, std::string_view body, wire::Parser& parser,
                       const TakeLabel& take);

}  // namespace sluice::dialect
