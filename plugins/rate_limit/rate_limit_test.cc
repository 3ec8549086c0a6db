#include "plugins/fixture.h"

namespace sluice::plugins {
namespace {

class RateLimit : public PolicyTest {};

TEST_F(RateLimit, RefusesWithTheLimitsNameAndWhenToComeBack) {
  chain_of({"rate_limit"});
  key_held_to({.requests_per_minute = 1, .tokens_per_minute = {}, .concurrency = {}}, {});
  policy::Call first, second;
  fill(first), fill(second);
  EXPECT_EQ(admit(first).verdict, policy::Verdict::kGoOn);
  finish(first, completed(100, 10));
  const policy::Decision decision = admit(second);
  EXPECT_EQ(decision.error.kind, ErrorKind::kRateLimited);
  EXPECT_EQ(decision.refusal.kind, RefusalKind::kRequests);
  EXPECT_EQ(decision.retry_after, std::chrono::seconds(60));
  EXPECT_EQ(decision.message, "Rate limit of 1 requests a minute of this key is reached: 0 left. Try again in 60 s.");
  EXPECT_TRUE(second.ticket.requests.present);
  EXPECT_EQ(second.ticket.requests.remaining, 0u);
  finish(second, {});
}

TEST_F(RateLimit, ASlotIsFreeOnceTheCallHasEnded) {
  chain_of({"rate_limit"});
  key_held_to({.requests_per_minute = {}, .tokens_per_minute = {}, .concurrency = 1}, {});
  policy::Call first, second, third;
  fill(first), fill(second), fill(third);
  EXPECT_EQ(admit(first).verdict, policy::Verdict::kGoOn);
  EXPECT_EQ(admit(second).verdict, policy::Verdict::kRefuse);
  finish(second, {});
  EXPECT_EQ(admit(third).verdict, policy::Verdict::kRefuse) << "a refused call frees nobody's slot";
  finish(third, {});
  admitted = 1;
  finish(first, completed(1, 1));
  EXPECT_EQ(admit(second).verdict, policy::Verdict::kGoOn);
  finish(second, completed(1, 1));
}

TEST_F(RateLimit, TokensOfAStreamAreChargedAsTheyAreCounted) {
  chain_of({"rate_limit"});
  key_held_to({.requests_per_minute = {}, .tokens_per_minute = 1'000, .concurrency = {}}, {});
  policy::Call call, next;
  fill(call), fill(next);
  EXPECT_EQ(admit(call).verdict, policy::Verdict::kGoOn);
  EXPECT_EQ(chain->progress(call, 950), policy::Extension::kGranted) << "never cut";
  EXPECT_EQ(admit(next).verdict, policy::Verdict::kRefuse);
  EXPECT_EQ(admit(next).refusal.kind, RefusalKind::kTokens);
  admitted = 1;
  finish(call, completed(100, 950));
}

}  // namespace
}  // namespace sluice::plugins
