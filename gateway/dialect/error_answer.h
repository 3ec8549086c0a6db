// What a client gets for an error, in the shape of its dialect.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/wiped_string.h"

namespace sluice::dialect {

struct ErrorAnswer {
  std::uint16_t status = 500;
  WipedString body;  // JSON; an upstream's words may quote the prompt
  enum class ShouldRetry : std::uint8_t { kUnsaid, kYes, kNo } should_retry = ShouldRetry::kUnsaid;
  enum class Fault : std::uint8_t { kOther, kCredentials } fault = Fault::kOther;  // kCredentials: an operator's matter
};

// Puts asterisks where the answer holds `secret`: a model server may repeat the key that it was shown.
void hide_secret(ErrorAnswer& answer, std::string_view secret) noexcept;

// Whether a status says that the request itself was refused before any work, so that another one may be made of it.
[[nodiscard]] constexpr bool is_refusal(std::uint16_t status) noexcept {
  switch (status) {
    case 401:
    case 402:
    case 403:
    case 408:
    case 409:
    case 413:
    case 429:
    case 451:
    case 498:
    case 499:
      return false;
    default:
      return status >= 400 && status < 500;
  }
}

// Whether a status says that there is no room now, in the word of any dialect.
[[nodiscard]] constexpr bool is_busy(unsigned status) noexcept { return status == 503 || status == 529; }

}  // namespace sluice::dialect
