// Why a limit or a budget said no.
#pragma once

#include <cstdint>

namespace sluice {

enum class RefusalKind : std::uint8_t {
  kNone,
  kRequests,     // requests per minute
  kTokens,       // tokens per minute
  kConcurrency,  // calls at once
  kSpent,        // settled use has reached the budget: no retry helps before the period turns
  kReserved,     // calls in flight have reserved what is left: a retry helps once they end
  kTooLarge,     // what is left is less than this call's prompt needs, whoever else ends
};

}  // namespace sluice
