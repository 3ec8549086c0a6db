// The error object of the dialect.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/wiped_string.h"
#include "dialect/upstream_error.h"

namespace sluice::openai {

using dialect::client_status;
using dialect::error_status;
using dialect::read_error;
using dialect::UpstreamError;

// Unescaped. `param` and `code` empty: JSON null.
struct ErrorFields {
  std::string_view message;
  std::string_view type;
  std::string_view param;
  std::string_view code;
};

// {"error":{"message":…,"type":…,"param":…,"code":…}}
[[nodiscard]] WipedString error_object(const ErrorFields& fields);

// The same error for the client: fields that are missing are filled in by `status`, the one that the client gets.
[[nodiscard]] WipedString error_object(const UpstreamError& error, std::uint16_t status);

}  // namespace sluice::openai
