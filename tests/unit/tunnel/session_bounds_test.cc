// What a session takes of a peer at most: frames without content, bytes of all calls together, a body.
#include "unit/tunnel/session_fixture.h"

namespace sluice::tunnel {
namespace {

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

}  // namespace
}  // namespace sluice::tunnel
