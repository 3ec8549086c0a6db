#include "proxy/retry_table.h"

#include <algorithm>

#include "config/retry_unsafe.h"

namespace sluice::proxy {
namespace {

// Its bit; 0: there is none of the name.
std::uint8_t bit_of(std::string_view name) noexcept {
  const auto found = std::ranges::find(config::kRetryUnsafe, name);
  if (found == config::kRetryUnsafe.end()) return 0;
  return static_cast<std::uint8_t>(1U << (found - config::kRetryUnsafe.begin()));
}

std::uint8_t bit_of_status(unsigned status) noexcept {
  switch (status) {
    case 408:
      return bit_of("408");
    case 500:
      return bit_of("500");
    case 502:
      return bit_of("502");
    case 504:
      return bit_of("504");
    default:
      return 0;
  }
}

}  // namespace

RetryTable::RetryTable(std::span<const std::string> unsafe) {
  for (const std::string& name : unsafe) unsafe_ |= bit_of(name);
}

RetryTable::Way RetryTable::of_status(unsigned status) const noexcept {
  if (status == 429 || status == 503 || status == 529) return Way::kSafe;
  return (unsafe_ & bit_of_status(status)) != 0 ? Way::kUnsafe : Way::kNot;
}

RetryTable::Way RetryTable::of_error(const Error& error) const noexcept {
  if (error.origin != Origin::kUpstream) return Way::kNot;
  if (error.retry == Retry::kYes) return Way::kSafe;
  const bool late = error.kind == ErrorKind::kTimeout;
  const bool lost =
      error.kind == ErrorKind::kClosed || error.kind == ErrorKind::kProtocol || error.kind == ErrorKind::kUpstream;
  const std::uint8_t bit = late ? bit_of("late_head") : lost ? bit_of("lost") : std::uint8_t{0};
  return (unsafe_ & bit) != 0 ? Way::kUnsafe : Way::kNot;
}

}  // namespace sluice::proxy
