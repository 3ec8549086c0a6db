// Why a call finds no place, where more than one part of the exchange says so.
#pragma once

#include "base/error.h"

namespace sluice::proxy {

inline constexpr Error kNoPlace = {ErrorKind::kUnavailable,
                                   Origin::kUpstream,
                                   Retry::kNo,
                                   0,
                                   0,
                                   "no machine that serves this model is reachable now; retry shortly"};
inline constexpr Error kKeeperAway = {
    ErrorKind::kUnavailable,
    Origin::kUpstream,
    Retry::kNo,
    0,
    0,
    "the model server that keeps this response, file or batch cannot be reached now, or does not serve its model any "
    "more; retry shortly"};

}  // namespace sluice::proxy
