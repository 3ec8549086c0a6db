// Whether a text is JSON, to the letter (RFC 8259): for what others wrote and we put into an answer as it stands.
#pragma once

#include <string_view>

namespace sluice::wire {

// One object and white space at most around it, nested at most kDeepestJson levels. Strings may hold any bytes but
// control characters: what they encode is not looked at.
[[nodiscard]] bool is_json_object(std::string_view text) noexcept;
inline constexpr unsigned kDeepestJson = 128;

}  // namespace sluice::wire
