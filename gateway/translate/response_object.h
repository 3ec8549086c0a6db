// A response as an object: the answer of a call that is not streamed, and what the first and the last events hold.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/usage.h"
#include "translate/response_items.h"

namespace sluice::translate {

enum class ResponseStatus : std::uint8_t { kInProgress, kCompleted, kMaxOutputTokens, kContentFilter, kFailed };

// By what the chat says of its end.
[[nodiscard]] ResponseStatus response_status_of(std::string_view finish_reason) noexcept;

struct ResponseObject {
  ResponseStatus status = ResponseStatus::kInProgress;
  std::string_view created = {};  // seconds since 1970, as the server wrote it; empty: it did not
  std::span<const OutputItem> output = {};
  std::optional<Usage> usage = std::nullopt;
  std::string_view error = {};  // of kFailed: an object
};

// With what the call set for itself (facts.settings); where that is empty, with the values of a call that set nothing.
void append_response(Buffer& out, const ResponseObject& response, const dialect::AnswerFacts& facts);

// What the call used where the server does not tell: counted as the gateway counts it.
[[nodiscard]] Usage own_usage(std::span<const OutputItem> output, const dialect::AnswerFacts& facts) noexcept;

// As what an item stands that was open at the end.
[[nodiscard]] constexpr ItemStatus last_item_status(ResponseStatus status) noexcept {
  return status == ResponseStatus::kCompleted ? ItemStatus::kCompleted : ItemStatus::kIncomplete;
}

}  // namespace sluice::translate
