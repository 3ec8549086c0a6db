#include "plugins/fixture.h"

namespace sluice::plugins {
namespace {

BudgetSpec tokens(std::uint64_t amount) {
  return {.unit = BudgetUnit::kTokens, .period = BudgetPeriod::kMonth, .amount = amount};
}

class BudgetPolicy : public PolicyTest {};

TEST_F(BudgetPolicy, SpentIsNotRetryableAndReservedIs) {
  chain_of({"budget"});
  key_held_to({}, {tokens(1'000)});
  policy::Call running, waiting, late;
  fill(running), fill(waiting), fill(late);
  EXPECT_EQ(admit(running).verdict, policy::Verdict::kGoOn);
  EXPECT_EQ(running.clamp_output_to, 900u) << "100 of the 1,000 are the prompt's";
  policy::Decision decision = admit(waiting);
  EXPECT_EQ(decision.error.kind, ErrorKind::kRateLimited);
  EXPECT_GT(decision.retry_after.count(), 0);
  EXPECT_NE(decision.message.find("running calls have reserved"), std::string::npos) << decision.message;
  finish(waiting, {});
  admitted = 1;
  finish(running, completed(100, 900));
  decision = admit(late);
  EXPECT_EQ(decision.error.kind, ErrorKind::kQuotaExceeded);
  EXPECT_EQ(decision.refusal.kind, RefusalKind::kSpent);
  EXPECT_EQ(decision.retry_after.count(), 0);
  finish(late, {});
  EXPECT_EQ(ledger.reserved(), 0u);
}

TEST_F(BudgetPolicy, CutsAStreamWhoseBudgetIsUsedUp) {
  chain_of({"budget"});
  key_held_to({}, {tokens(500)});
  policy::Call call;
  fill(call);
  call.stream = true;
  EXPECT_EQ(admit(call).verdict, policy::Verdict::kGoOn);
  EXPECT_EQ(chain->progress(call, 399), policy::Extension::kGranted);
  EXPECT_EQ(chain->progress(call, 400), policy::Extension::kCut);
  finish(call, completed(100, 400));
  EXPECT_EQ(ledger.explain({.key = 0}).at(0).used, 500u);
}

TEST_F(BudgetPolicy, EveryEndSettlesOnceAndFreesTheReservation) {
  chain_of({"rate_limit", "budget", "audit"});
  key_held_to({.requests_per_minute = {}, .tokens_per_minute = 1'000'000, .concurrency = 1}, {tokens(1'000'000)});
  std::uint64_t used = 0;
  for (const EndReason reason : {EndReason::kCompleted, EndReason::kClientGone, EndReason::kUpstreamError,
                                 EndReason::kUpstreamFailed, EndReason::kUnavailable, EndReason::kTimeout,
                                 EndReason::kBudgetCut, EndReason::kRevoked, EndReason::kDrained, EndReason::kFault}) {
    policy::Call call;
    fill(call);
    ASSERT_EQ(admit(call).verdict, policy::Verdict::kGoOn) << to_string(reason);
    policy::Outcome outcome = completed(100, 20);
    outcome.reason = reason;
    if (reason == EndReason::kUnavailable) outcome.usage = {};
    finish(call, outcome);
    used += outcome.usage.total();
    EXPECT_EQ(ledger.reserved(), 0u) << to_string(reason);
    EXPECT_EQ(records.all.back().end_reason, reason);
  }
  EXPECT_EQ(records.all.size(), 10u);
  EXPECT_EQ(ledger.explain({.key = 0}).back().used, used);
}

}  // namespace
}  // namespace sluice::plugins
