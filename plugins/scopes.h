// From a call to the ledger's counters.
#pragma once

#include "ledger/ledger.h"
#include "policy/policy.h"

namespace sluice::plugins {

[[nodiscard]] inline ledger::Scopes scopes_of(const policy::Call& call) noexcept {
  static_assert(policy::Call::kNoModel == ledger::kNoIndex);
  return {.key = call.caller.key_index,
          .user = call.caller.user_index,
          .tenant = call.caller.tenant_index,
          .model = call.model_index,
          .user_id = call.caller.user_id,
          .user_name = call.caller.user};
}

// A refusal that names its limit, what is left and when it resets.
[[nodiscard]] inline policy::Decision refuse(const ledger::Refusal& refusal, ErrorKind kind) {
  policy::Decision decision;
  decision.verdict = policy::Verdict::kRefuse;
  decision.error = client_error(kind, "a limit or budget is reached");
  decision.message = ledger::describe(refusal);
  decision.retry_after = refusal.retry_after;
  decision.refusal = refusal;
  return decision;
}

}  // namespace sluice::plugins
