// Which failures of an attempt send a call to another place, before its client has got a byte.
//
//   what failed                               by default   with retry_unsafe
//   connect failure, refused stream           again        again
//   429, 503, 529                             again        again
//   408, 500, 502, 504                        not          where it is listed
//   connection lost, head late                not          "lost", "late_head"
//   anything else                             not          not
//
// Behind the second group the model may have generated: a call that is sent again then is charged twice.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"

namespace sluice::proxy {

class RetryTable final {
 public:
  RetryTable() = default;
  // `unsafe`: of config::kRetryUnsafe.
  explicit RetryTable(std::span<const std::string> unsafe);

  enum class Way : std::uint8_t {
    kNot,
    kSafe,    // nothing can have been generated
    kUnsafe,  // something may have been, and the conf says to go on: the attempt is charged
  };
  // An upstream's answer of this status, none of the model's.
  [[nodiscard]] Way of_status(unsigned status) const noexcept;
  // No head has come.
  [[nodiscard]] Way of_error(const Error& error) const noexcept;

 private:
  std::uint8_t unsafe_ = 0;  // a bit for each of config::kRetryUnsafe
};

}  // namespace sluice::proxy
