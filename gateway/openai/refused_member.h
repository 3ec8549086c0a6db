// Whether a server refused a call because of a member that it does not know.
#pragma once

#include <string_view>

namespace sluice::openai {

// What we may have added to a body.
enum class AddedMember : std::uint8_t { kUsageInStream, kMaxTokens, kMaxCompletionTokens, kMaxOutputTokens };

// By its name.
[[nodiscard]] AddedMember added_cap(std::string_view name) noexcept;

// Whether the error `body`, in the words of any server, says that it does not know or does not support `member`. Not
// where it speaks of another member first, and of a cap not where it minds its value: a server that has a bound for it
// knows it.
[[nodiscard]] bool refuses_member(std::string_view body, AddedMember member);

}  // namespace sluice::openai
