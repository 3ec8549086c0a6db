// Calls that are given up or break off, and sessions that end while calls run.
#include "unit/tunnel/session_fixture.h"

namespace sluice::tunnel {
namespace {

TEST_F(Tunnel, ACallGivenUpIsCancelledAtTheAgent) {
  auto [call, incoming] = open_stream();
  EXPECT_FALSE(incoming->gone());
  call.reset();
  pump();
  EXPECT_TRUE(incoming->gone());
  incoming->append("nobody hears this");
  IncomingCall::finish(std::move(incoming));
  pump();
}

TEST_F(Tunnel, ACallGivenUpBeforeItWasSentIsNeverSeen) {
  auto call = post({});
  call.reset();
  pump();
  EXPECT_EQ(inbox.next(), nullptr);
  EXPECT_EQ(gateway.streams(), 0u);
  auto next = post({});
  pump();
  EXPECT_TRUE(inbox.next());
}

TEST_F(Tunnel, ACallGivenUpInTheMiddleOfItsBodyLeavesTheTunnelWhole) {
  const std::string large(900'000, 'x');
  const std::array<std::string_view, 1> body{large};
  auto call = post(body);
  gateway.collect();  // as much as one turn takes
  carry(gateway, agent);
  call.reset();
  pump();
  EXPECT_EQ(inbox.next(), nullptr);
  EXPECT_EQ(agent.streams(), 0u);
  EXPECT_EQ(buffered.load(), 0u);
  auto next = post({});
  pump();
  EXPECT_TRUE(inbox.next());
}

TEST_F(Tunnel, WhatTheAgentDropsIsRefused) {
  auto call = post({});
  pump();
  inbox.next().reset();
  pump();
  ASSERT_EQ(call->state(), http::CallState::kFailed);
  EXPECT_EQ(call->error().kind, ErrorKind::kRefused);
  EXPECT_EQ(call->error().retry, Retry::kYes);
}

TEST_F(Tunnel, AModelServerThatDiesInTheMiddleIsNotRetried) {
  auto [call, incoming] = open_stream();
  incoming->append("data: half");
  pump();
  incoming->reset(Reset::kBackendLost);
  pump();
  ASSERT_EQ(call->state(), http::CallState::kFailed);
  EXPECT_EQ(call->error().kind, ErrorKind::kUpstream);
  EXPECT_EQ(call->error().retry, Retry::kNo);
  EXPECT_EQ(call->body().view(), "data: half");
}

TEST_F(Tunnel, WhatArrivedBeforeABreakIsNotLost) {
  auto [call, incoming] = open_stream();
  incoming->append("data: half");
  IncomingCall::break_off(std::move(incoming), Reset::kBackendLost);
  pump();
  ASSERT_EQ(call->state(), http::CallState::kFailed);
  EXPECT_EQ(call->body().view(), "data: half");
  EXPECT_EQ(agent.streams(), 0u);
}

TEST_F(Tunnel, ASlowStreamStallsNoOther) {
  auto [slow, slow_incoming] = open_stream();
  auto [fast, fast_incoming] = open_stream();
  // The slow one's receiver takes nothing: its window fills, and the rest waits at the agent.
  const std::string block(64 * 1024, 's');
  while (slow_incoming->room() != 0) {
    slow_incoming->append(block);
    pump();
  }
  EXPECT_EQ(slow->body().size(), options.stream_window_bytes);
  // Meanwhile far more than the connection's window passes on the other stream.
  std::size_t passed = 0;
  while (passed < 3 * std::size_t{options.connection_window_bytes}) {
    fast_incoming->append(block);
    pump();
    ASSERT_EQ(fast->body().size(), block.size());
    fast->body().clear();
    fast->taken(block.size());
    passed += block.size();
  }
  EXPECT_EQ(slow_incoming->room(), 0u);
  const std::size_t arrived = slow->body().size();
  slow->body().clear();
  slow->taken(arrived);
  pump();
  EXPECT_NE(slow_incoming->room(), 0u);
  EXPECT_FALSE(slow->body().empty());
}

TEST_F(Tunnel, TenThousandAbortsInARowCutNoOtherStream) {
  auto [call, incoming] = open_stream();
  for (int i = 0; i < 10'000; ++i) {
    auto aborted = post({});
    pump();
    aborted.reset();
    pump();
    ASSERT_TRUE(inbox.next());
  }
  incoming->append("still here");
  pump();
  EXPECT_EQ(call->body().view(), "still here");
  EXPECT_EQ(call->state(), http::CallState::kRunning);
  EXPECT_FALSE(gateway.leaving());
  EXPECT_FALSE(agent.leaving());
}

TEST_F(Tunnel, AnAgentThatLeavesFinishesWhatRunsAndTakesNothingNew) {
  auto [call, incoming] = open_stream();
  agent.leave();
  pump();
  EXPECT_TRUE(gateway.leaving());
  auto late = post({});
  EXPECT_EQ(late->state(), http::CallState::kFailed);
  EXPECT_EQ(late->error().retry, Retry::kYes);
  incoming->append("data: last\n\n");
  IncomingCall::finish(std::move(incoming));
  pump();
  EXPECT_EQ(call->state(), http::CallState::kEnded);
  EXPECT_EQ(call->body().view(), "data: last\n\n");
}

TEST_F(Tunnel, ARequestThatCrossesGoawayIsTakenOrMayGoElsewhere) {
  pump();
  auto crossing = post({});
  gateway.collect();
  agent.leave();
  carry(agent, gateway);  // GOAWAY overtakes the request
  pump();
  if (auto incoming = inbox.next()) {
    incoming->begin(200, {});
    IncomingCall::finish(std::move(incoming));
    pump();
    EXPECT_EQ(crossing->state(), http::CallState::kEnded);
  } else {
    EXPECT_EQ(crossing->error().retry, Retry::kYes);
  }
}

TEST_F(Tunnel, CallsOutliveABrokenTunnelAndSayWhetherTheyWereSent) {
  auto tunnel = std::make_unique<GatewayTunnel>(loop, options);
  auto sent = tunnel->start({"POST", "/v1/completions", headers, {}}, wake);
  tunnel->collect();
  auto unsent = tunnel->start({"POST", "/v1/completions", headers, {}}, wake);
  tunnel.reset();
  ASSERT_EQ(sent->state(), http::CallState::kFailed);
  EXPECT_EQ(sent->error().retry, Retry::kNo);
  ASSERT_EQ(unsent->state(), http::CallState::kFailed);
  EXPECT_EQ(unsent->error().retry, Retry::kYes);
}

}  // namespace
}  // namespace sluice::tunnel
