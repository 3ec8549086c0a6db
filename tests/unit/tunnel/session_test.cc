// Calls through a tunnel: a request whole, its answer piece by piece.
#include "unit/tunnel/session_fixture.h"

namespace sluice::tunnel {
namespace {

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
