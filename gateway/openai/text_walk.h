// Walks the values of a request that are not read: their structure must be right, their depth bounded, the text in some
// of them is counted, and where they could refer to what a model server stores, they may not.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/text.h"
#include "openai/stored_state.h"

namespace sluice::openai {

namespace ondemand = simdjson::ondemand;

inline constexpr const char* kNotJson = "The request body is not valid JSON.";

[[nodiscard]] inline Error bad(const char* what) noexcept { return client_error(ErrorKind::kBadRequest, what); }

// The text of a value, without the white space before the next one.
[[nodiscard]] inline std::string_view token_of(ondemand::value& value) noexcept {
  return trimmed(value.raw_json_token(), kJsonWhite);
}
[[nodiscard]] Result<ondemand::json_type> type_of(ondemand::value& value) noexcept;
[[nodiscard]] Result<bool> is_null(ondemand::value& value) noexcept;

// What a walk over nested values counts.
enum class Count : std::uint8_t {
  kNothing,  // walked for its structure alone
  kText,     // the bytes of strings
  kTokens,   // the same, and numbers are tokens
};

class TextWalk final {
 public:
  // Steps over a value, which stands `depth` levels deep, and all that is in it. `spot`: where the value is.
  Status walk(ondemand::value& value, unsigned depth, Count count, Spot spot);
  // The same, counting the whole length as it stands.
  Status walk_whole(ondemand::value& value, unsigned depth, Spot spot);

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  Status walk_array(ondemand::value& value, unsigned depth, Count count, Spot spot);
  Status walk_object(ondemand::value& value, unsigned depth, Count count, Spot spot);
  Status walk_scalar(ondemand::value& value, ondemand::json_type type, Count count);

  std::size_t bytes_ = 0;
  const char* last_token_end_ = nullptr;
};

}  // namespace sluice::openai
