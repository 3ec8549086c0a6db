#include "base/usage.h"

namespace sluice {

const char* to_string(UsageSource source) noexcept {
  switch (source) {
    case UsageSource::kNone:
      return "none";
    case UsageSource::kEstimated:
      return "estimated";
    case UsageSource::kMeasured:
      return "measured";
  }
  return "none";
}

const char* to_string(EndReason reason) noexcept {
  switch (reason) {
    case EndReason::kCompleted:
      return "completed";
    case EndReason::kRefused:
      return "refused";
    case EndReason::kInvalid:
      return "invalid";
    case EndReason::kClientGone:
      return "client_gone";
    case EndReason::kUpstreamError:
      return "upstream_error";
    case EndReason::kUpstreamFailed:
      return "upstream_failed";
    case EndReason::kUnavailable:
      return "unavailable";
    case EndReason::kTimeout:
      return "timeout";
    case EndReason::kBudgetCut:
      return "budget_cut";
    case EndReason::kRevoked:
      return "revoked";
    case EndReason::kDrained:
      return "drained";
    case EndReason::kFault:
      return "fault";
    case EndReason::kCrashed:
      return "crashed";
    case EndReason::kIncomplete:
      return "incomplete";
    case EndReason::kBackground:
      return "background";
  }
  return "fault";
}

}  // namespace sluice
