// Errors of answers that more than one part of relay() gives.
#pragma once

#include "base/error.h"
#include "base/usage.h"
#include "dialect/answer.h"

namespace sluice::proxy {

inline constexpr Error kEndedEarly = {ErrorKind::kProtocol,          Origin::kUpstream, Retry::kNo, 0, 0,
                                      "the model's answer broke off"};
inline constexpr Error kTooLong = {ErrorKind::kProtocol,
                                   Origin::kUpstream,
                                   Retry::kNo,
                                   0,
                                   0,
                                   "the model's answer is larger than this gateway passes on ([route] answer_limit)"};
inline constexpr Error kSilent = {ErrorKind::kTimeout, Origin::kUpstream, Retry::kNo, 0, 0, "the model fell silent"};

inline constexpr const char* kNoAnswer =
    "The model server said that all is well, and sent something that is no answer of this endpoint.";

// Whether a status says that there is no such endpoint: nothing was done then.
[[nodiscard]] constexpr bool lacks_endpoint(unsigned status) noexcept {
  return status == 404 || status == 405 || status == 501;
}

// How an answer ended that is whole.
[[nodiscard]] constexpr EndReason end_reason_of(dialect::Ending ending) noexcept {
  switch (ending) {
    case dialect::Ending::kIncomplete:
      return EndReason::kIncomplete;
    case dialect::Ending::kFailed:
      return EndReason::kUpstreamFailed;
    case dialect::Ending::kComplete:
      break;
  }
  return EndReason::kCompleted;
}

}  // namespace sluice::proxy
