// Values of a request's body as simdjson's On-Demand walk meets them, and what is said of one that is wrong.
#pragma once

#include <simdjson.h>

#include <string_view>

#include "base/result.h"
#include "base/text.h"

namespace sluice::wire {

namespace ondemand = simdjson::ondemand;

struct ParserMemory {
  ondemand::parser parser;
};

inline constexpr const char* kNotJson = "The request body is not valid JSON.";

[[nodiscard]] inline Error bad(const char* what) noexcept { return client_error(ErrorKind::kBadRequest, what); }

// The text of a value, without the white space before the next one.
[[nodiscard]] inline std::string_view token_of(ondemand::value& value) noexcept {
  return trimmed(value.raw_json_token(), kJsonWhite);
}

// Error: kNotJson, of both.
[[nodiscard]] Result<ondemand::json_type> type_of(ondemand::value& value) noexcept;
[[nodiscard]] Result<bool> is_null(ondemand::value& value) noexcept;

}  // namespace sluice::wire
