// Two sessions of a tunnel, their bytes piped from one to the other in memory.
#include <gtest/gtest.h>

#include <deque>

#include "net/task_group.h"
#include "tunnel/agent_tunnel.h"
#include "tunnel/gateway_tunnel.h"

namespace sluice::tunnel {
namespace {

class Inbox final : public CallHandler {
 public:
  void handle(IncomingPtr call) noexcept override { calls.push_back(std::move(call)); }
  IncomingPtr next() {
    if (calls.empty()) return nullptr;
    auto call = std::move(calls.front());
    calls.pop_front();
    return call;
  }
  std::deque<IncomingPtr> calls;
};

class Tunnel : public testing::Test {
 protected:
  // Carries bytes both ways until neither side has any.
  void pump() {
    for (bool moved = true; moved;) {
      moved = carry(gateway, agent);
      moved = carry(agent, gateway) || moved;
    }
  }
  static bool carry(Session& from, Session& to) {
    from.collect();
    if (from.output().empty()) return false;
    EXPECT_TRUE(to.receive({from.output().data(), from.output().size()}));
    from.output().clear();
    return true;
  }
  std::unique_ptr<http::OutgoingCall> post(std::span<const std::string_view> body) {
    return gateway.start({"POST", "/v1/chat/completions", headers, body}, wake);
  }
  // A call that the agent has, its head answered.
  std::pair<std::unique_ptr<http::OutgoingCall>, IncomingPtr> open_stream() {
    auto call = post({});
    pump();
    auto incoming = inbox.next();
    const http::Header type{"content-type", "text/event-stream"};
    incoming->begin(200, {&type, 1});
    pump();
    return {std::move(call), std::move(incoming)};
  }

  net::Loop loop;
  net::Signal wake{loop};
  std::atomic<std::size_t> buffered{0};
  Inbox inbox;
  SessionOptions options;
  GatewayTunnel gateway{loop, options};
  AgentTunnel agent{loop, options, BodyLimits{1024 * 1024, 2 * 1024 * 1024}, buffered, inbox};
  std::array<http::Header, 1> headers{http::Header{"content-type", "application/json"}};
};

TEST_F(Tunnel, CarriesARequestWholeAndItsAnswerPieceByPiece) {
  const std::array<std::string_view, 3> body{"{\"model\":", "\"m\"", "}"};
  auto call = post(body);
  pump();
  auto incoming = inbox.next();
  ASSERT_TRUE(incoming);
  EXPECT_EQ(incoming->head().method, http::Verb::post);
  EXPECT_EQ(incoming->head().target, "/v1/chat/completions");
  EXPECT_EQ(incoming->body(), "{\"model\":\"m\"}");
  ASSERT_EQ(incoming->head().fields.end() - incoming->head().fields.begin(), 1);
  EXPECT_EQ(incoming->head().fields[http::Field::content_type], "application/json");
  EXPECT_EQ(call->head(), nullptr);

  const http::Header type{"content-type", "text/event-stream"};
  incoming->begin(200, {&type, 1});
  pump();
  ASSERT_NE(call->head(), nullptr);
  EXPECT_EQ(call->head()->status, 200);
  EXPECT_EQ(call->head()->content_type, "text/event-stream");
  for (const std::string_view event : {"data: a\n\n", "data: b\n\n"}) {
    incoming->append(event);
    pump();
    EXPECT_EQ(call->body().view(), event);
    EXPECT_EQ(call->state(), http::CallState::kRunning);
    call->body().consume(event.size());
    call->taken(event.size());
  }
  IncomingCall::finish(std::move(incoming));
  pump();
  EXPECT_EQ(call->state(), http::CallState::kEnded);
  EXPECT_EQ(gateway.streams(), 0u);
  EXPECT_EQ(agent.streams(), 0u);
  EXPECT_EQ(buffered.load(), 0u);
}

struct FreeReserve final : http::Incoming::Reserve {
  bool grow(std::size_t) noexcept override { return true; }
};

// As any handler does that knows nothing of what carries the request.
Task<void> answer_slowly(http::Incoming& call, std::size_t size_bytes, Buffer& body, Status& done) {
  FreeReserve reserve;
  const Status read = co_await call.read_body(body, 1024, reserve, net::Deadline::never());
  if (!read) co_return;
  const http::Header type{"content-type", "text/plain"};
  call.begin(200, {&type, 1});
  call.chunk().append(std::string(size_bytes, 'a'));
  done = co_await call.flush();
  if (done) done = co_await call.finish();
}

TEST_F(Tunnel, AGatewayThatTakesNothingOfAnAnswerForTooLongHasGivenTheCallUp) {
  GatewayTunnel idle(loop, options);
  const BodyLimits brief{.answer_gap = std::chrono::milliseconds(20)};
  AgentTunnel impatient(loop, options, brief, buffered, inbox);
  const auto pass = [&] {
    while (carry(idle, impatient) || carry(impatient, idle)) {
    }
  };
  const auto call = idle.start({"POST", "/v1/chat/completions", headers, {}}, wake);
  pass();
  auto incoming = inbox.next();
  ASSERT_TRUE(incoming);
  net::TaskGroup tasks(loop, [](const char*) {});
  Buffer body;
  const Status not_over = client_error(ErrorKind::kWouldBlock, "not over");
  Status done = not_over;
  tasks.spawn(answer_slowly(*incoming, 1 << 20, body, done));
  const auto limit = Mono::now() + std::chrono::seconds(20);
  while (tasks.running() != 0 && Mono::now() < limit) {
    pass();
    loop.io().restart();
    loop.io().run_one_for(std::chrono::milliseconds(5));
  }
  ASSERT_EQ(tasks.running(), 0u);
  EXPECT_EQ(done.error().kind, ErrorKind::kClosed);
  EXPECT_TRUE(incoming->gone());
  EXPECT_GT(call->body().size(), 0u) << "what the window allowed has left";
}

TEST_F(Tunnel, ACallIsAnsweredThroughTheInterfaceOfEveryCarrier) {
  constexpr std::size_t kSize = 1 << 20;
  const std::array<std::string_view, 1> asked{"hello"};
  auto call = post(asked);
  pump();
  auto incoming = inbox.next();
  ASSERT_TRUE(incoming);
  net::TaskGroup tasks(loop, [](const char*) {});
  Buffer body;
  Status done = client_error(ErrorKind::kWouldBlock, "not over");
  tasks.spawn(answer_slowly(*incoming, kSize, body, done));
  std::size_t got = 0;
  for (int turn = 0; turn < 1000 && call->state() == http::CallState::kRunning; ++turn) {
    loop.io().restart();
    loop.io().poll();
    pump();
    EXPECT_FALSE(turn == 0 && done) << "it waits until the gateway takes more";
    if (done) incoming.reset();  // what has not left stays with the tunnel
    const std::size_t came = call->body().size();
    call->body().consume(came);
    call->taken(came);
    got += came;
  }
  EXPECT_EQ(body.view(), "hello");
  EXPECT_TRUE(done);
  EXPECT_EQ(call->state(), http::CallState::kEnded);
  EXPECT_EQ(got, kSize);
  EXPECT_EQ(agent.streams(), 0u);
}

TEST_F(Tunnel, AnAnswerThatWaitsForRoomHearsThatTheCallWasGivenUp) {
  auto call = post({});
  pump();
  auto incoming = inbox.next();
  ASSERT_TRUE(incoming);
  net::TaskGroup tasks(loop, [](const char*) {});
  Buffer body;
  Status done = ok();
  tasks.spawn(answer_slowly(*incoming, 1 << 20, body, done));
  loop.io().poll();
  pump();
  EXPECT_TRUE(done);
  call.reset();
  pump();
  loop.io().restart();
  loop.io().poll();
  EXPECT_FALSE(done);
  EXPECT_TRUE(incoming->gone());
}

// An HTTP/2 frame: length, type, flags, stream, payload (RFC 9113, 4.1).
std::string frame(unsigned char type, std::uint32_t stream, std::string_view payload) {
  const auto byte = [](std::uint32_t value, int shift) { return static_cast<char>(value >> shift & 255); };
  const auto size = static_cast<std::uint32_t>(payload.size());
  std::string made{byte(size, 16), byte(size, 8), byte(size, 0), static_cast<char>(type), 0};
  made += {byte(stream, 24), byte(stream, 16), byte(stream, 8), byte(stream, 0)};
  return made.append(payload);
}

TEST_F(Tunnel, APeerThatSendsFramesWithoutContentIsLeft) {
  const std::string priority = frame(NGHTTP2_PRIORITY, 9, std::string_view("\0\0\0\0\1", 5));
  for (const std::string& nothing : {priority, frame(NGHTTP2_PING, 0, "12345678"), frame(NGHTTP2_SETTINGS, 0, ""),
                                     frame(NGHTTP2_WINDOW_UPDATE, 0, std::string_view("\0\0\0\1", 4))}) {
    SessionOptions strict;
    strict.control_frames = 100;
    GatewayTunnel flooded(loop, strict);
    AgentTunnel peer(loop, strict, BodyLimits{}, buffered, inbox);
    peer.collect();  // its SETTINGS come first
    ASSERT_TRUE(flooded.receive({peer.output().data(), peer.output().size()}));
    unsigned taken = 0;
    while (taken < 1000 && flooded.receive(nothing)) ++taken;
    EXPECT_GT(taken, 50u) << int{nothing[3]};
    EXPECT_LE(taken, 200u) << int{nothing[3]} << ": a second may have passed once";
  }
}

TEST_F(Tunnel, FramesThatAnswerACallAreNotCountedAgainstThePeer) {
  SessionOptions strict;
  strict.control_frames = 100;
  GatewayTunnel busy(loop, strict);
  AgentTunnel peer(loop, strict, BodyLimits{}, buffered, inbox);
  for (int i = 0; i < 1000; ++i) {
    auto call = busy.start({"POST", "/v1/chat/completions", headers, {}}, wake);
    while (carry(busy, peer) || carry(peer, busy)) {
    }
    auto incoming = inbox.next();
    ASSERT_TRUE(incoming) << i;
    const http::Header type{"content-type", "application/json"};
    incoming->begin(200, {&type, 1});
    IncomingCall::finish(std::move(incoming));
    while (carry(peer, busy) || carry(busy, peer)) {
    }
    ASSERT_EQ(call->state(), http::CallState::kEnded) << i;
  }
}

TEST_F(Tunnel, WhatCallsReceiveTogetherStaysUnderTheCap) {
  HeldBytes held(512 * 1024);
  options.held = &held;
  GatewayTunnel counting(loop, options);
  AgentTunnel peer(loop, options, BodyLimits{}, buffered, inbox);
  const auto pump_both = [&] {
    while (carry(counting, peer) || carry(peer, counting)) {
    }
  };
  std::vector<std::unique_ptr<http::OutgoingCall>> calls;
  std::vector<IncomingPtr> answers;
  const std::string part(200 * 1024, 'x');
  for (int i = 0; i < 5; ++i) {
    calls.push_back(counting.start({"POST", "/v1/chat/completions", headers, {}}, wake));
    pump_both();
    answers.push_back(inbox.next());
    const http::Header type{"content-type", "text/event-stream"};
    answers.back()->begin(200, {&type, 1});
    answers.back()->append(part);
    pump_both();
    EXPECT_LE(held.held(), 512u * 1024);
  }
  unsigned failed = 0;
  for (const auto& call : calls) {
    if (call->state() != http::CallState::kFailed) continue;
    ++failed;
    EXPECT_EQ(call->error().kind, ErrorKind::kOverloaded);
    EXPECT_EQ(call->error().origin, Origin::kSelf);
  }
  EXPECT_EQ(failed, 3u);
  pump_both();
  EXPECT_TRUE(answers.back()->gone());
  for (const auto& call : calls) {
    const std::size_t size = call->body().size();
    call->body().consume(size);
    call->taken(size);
  }
  calls.clear();
  EXPECT_EQ(held.held(), 0u);
}

TEST_F(Tunnel, TheLastBytesAndTheEndArriveTogether) {
  auto [call, incoming] = open_stream();
  incoming->append("data: [DONE]\n\n");
  IncomingCall::finish(std::move(incoming));
  agent.collect();
  // One DATA frame with END_STREAM, no empty one behind it.
  EXPECT_EQ(agent.output().size(), 9u + 14u);
  pump();
  EXPECT_EQ(call->state(), http::CallState::kEnded);
  EXPECT_EQ(call->body().view(), "data: [DONE]\n\n");
}

TEST_F(Tunnel, ALargeBodyArrivesWhole) {
  const std::string large(900'000, 'x');
  const std::array<std::string_view, 2> body{large, "end"};
  auto call = post(body);
  pump();
  auto incoming = inbox.next();
  ASSERT_TRUE(incoming);
  EXPECT_EQ(incoming->body().size(), large.size() + 3);
  EXPECT_TRUE(incoming->body().ends_with("xend"));
}

TEST_F(Tunnel, ABodyBeyondTheLimitIsRefusedAndMayGoElsewhere) {
  const std::string large(1'100'000, 'x');
  const std::array<std::string_view, 1> body{large};
  auto call = post(body);
  pump();
  EXPECT_EQ(inbox.next(), nullptr);
  ASSERT_EQ(call->state(), http::CallState::kFailed);
  EXPECT_EQ(call->error().kind, ErrorKind::kOverloaded);
  EXPECT_EQ(call->error().retry, Retry::kYes);
  EXPECT_EQ(buffered.load(), 0u);
}

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

TEST_F(Tunnel, KeepsOnlyTheHeadFieldsThatClientsMaySee) {
  auto call = post({});
  pump();
  auto incoming = inbox.next();
  const std::array<http::Header, 4> head{
      {{"content-type", "application/json"}, {"set-cookie", "a=b"}, {"retry-after", "7"}, {"x-secret", "s"}}};
  incoming->begin(503, head);
  IncomingCall::finish(std::move(incoming));
  pump();
  ASSERT_NE(call->head(), nullptr);
  EXPECT_EQ(call->head()->status, 503);
  EXPECT_EQ(call->head()->retry_after, "7");
  EXPECT_TRUE(call->head()->others.empty());
}

TEST_F(Tunnel, BytesThatAreNotHttp2EndTheSession) {
  const std::string_view garbage = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  EXPECT_FALSE(agent.receive({garbage.data(), garbage.size()}));
}

}  // namespace
}  // namespace sluice::tunnel
