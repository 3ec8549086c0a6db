// What a server connection does over time: large and slow bodies, clients that leave, clients that take nothing.
#include <gtest/gtest.h>

#include "http/h1/server_connection.h"
#include "support/loop_runner.h"
#include "support/soon.h"

namespace sluice::http::h1 {
namespace {

using std::chrono::milliseconds;

using test::soon;

struct CountingReserve final : ServerConnection::Reserve {
  std::size_t granted = 0;
  std::size_t most = ~std::size_t{0};
  bool grow(std::size_t more_bytes) noexcept override {
    if (granted + more_bytes > most) return false;
    granted += more_bytes;
    return true;
  }
};

struct ServerLifeTest : test::LoopTest {
  void open(const ConnectionLimits& limits = {}) {
    test::StreamPair pair = test::connected_pair(loop);
    client = std::move(pair.client);
    server = std::make_unique<ServerConnection>(std::move(pair.server), limits);
  }
  void TearDown() override {
    if (client) client->close();
    if (server) server->stream().close();
    LoopTest::TearDown();
  }
  void send(std::string_view raw) { EXPECT_EQ(client->try_write(raw).value(), raw.size()); }
  static Task<void> send_all(net::Stream& stream, std::string raw) { (void)co_await stream.write(raw, soon()); }

  // Co-routines that copy what the server said.
  static Task<ErrorKind> next_head(ServerConnection& server) {
    const Result<const RequestHead*> head = co_await server.read_head();
    co_return head ? ErrorKind::kWouldBlock : head.error().kind;
  }
  bool head_comes() { return run(next_head(*server)) == ErrorKind::kWouldBlock; }
  static Task<ErrorKind> body(ServerConnection& server, Buffer& into, std::size_t limit, CountingReserve& reserve) {
    const Status read = co_await server.read_body(into, limit, reserve, net::Deadline::never());
    co_return read ? ErrorKind::kWouldBlock : read.error().kind;
  }
  static Task<Status> respond(ServerConnection& server, std::string_view body) { return server.respond(200, {}, body); }
  static Task<std::string> read_until(net::Stream& stream, std::string_view end) {
    std::string got;
    std::array<char, 70'000> block;
    while (!got.ends_with(end)) {
      const Result<std::size_t> read = co_await stream.read_some(block, soon());
      if (!read || *read == 0) break;
      got.append(block.data(), *read);
    }
    co_return got;
  }
  static Task<net::Wake> sleep(net::Signal& signal, milliseconds time) {
    co_return co_await signal.wait(net::Deadline::after(time));
  }

  std::unique_ptr<net::Stream> client;
  std::unique_ptr<ServerConnection> server;
};

const std::string kGet = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

std::string post(std::size_t size) {
  return "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

TEST_F(ServerLifeTest, ALargeBodyGoesThroughAndIsReservedOnce) {
  const std::string payload(5'000'000, 'x');
  for (const bool chunked : {false, true}) {
    open();
    std::string raw = post(payload.size()) + payload;
    if (chunked) {
      raw = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
      for (std::size_t at = 0; at < payload.size(); at += 50'000)
        raw += "c350\r\n" + payload.substr(at, 50'000) + "\r\n";
      raw += "0\r\n\r\n";
    }
    group.spawn(send_all(*client, raw + kGet));
    ASSERT_TRUE(head_comes());
    Buffer into;
    CountingReserve reserve;
    EXPECT_EQ(run(body(*server, into, 10'000'000, reserve)), ErrorKind::kWouldBlock);
    EXPECT_TRUE(into.view() == payload);
    EXPECT_GE(reserve.granted, payload.size());
    EXPECT_LE(reserve.granted, 2 * payload.size() + 100'000);
    EXPECT_TRUE(run(respond(*server, "ok")));
    EXPECT_TRUE(head_comes());
  }
}

TEST_F(ServerLifeTest, ALargeBodyWhoseLengthIsKnownMovesNoMoreBehindItsFirstMegabyte) {
  const std::string payload(9'000'000, 'x');
  open();
  group.spawn(send_all(*client, post(payload.size()) + payload));
  ASSERT_TRUE(head_comes());
  Buffer into;
  CountingReserve reserve;
  EXPECT_EQ(run(body(*server, into, 20'000'000, reserve)), ErrorKind::kWouldBlock);
  EXPECT_LT(into.capacity(), payload.size() + 1'000) << "its block was made for the whole of it";
  const char* const block = into.data();
  (void)into.prepare(64);
  EXPECT_EQ(into.data(), block) << "with room for what a reader looks at behind it";
}

TEST_F(ServerLifeTest, NoRoomForABodyIsOverload) {
  open();
  send(post(100) + std::string(100, 'x'));
  ASSERT_TRUE(head_comes());
  Buffer into;
  CountingReserve reserve;
  reserve.most = 50;
  EXPECT_EQ(run(body(*server, into, 1'000, reserve)), ErrorKind::kOverloaded);
  EXPECT_TRUE(run(respond(*server, "no")));
  EXPECT_TRUE(server->keeps_alive());  // the small rest is dropped
}

TEST_F(ServerLifeTest, AnAnnouncedBodyThatDoesNotComeReservesLittle) {
  open({.body_gap = milliseconds(50)});
  send(post(1'000'000'000) + "x");
  ASSERT_TRUE(head_comes());
  Buffer into;
  CountingReserve reserve;
  EXPECT_EQ(run(body(*server, into, 2'000'000'000, reserve)), ErrorKind::kTimeout);
  EXPECT_LE(reserve.granted, 100'000U);
}

TEST_F(ServerLifeTest, SlowHeadsAndIdleConnectionsEnd) {
  open({.head_time = milliseconds(40)});
  send("GET /a HT");
  EXPECT_EQ(run(next_head(*server)), ErrorKind::kTimeout);
  open({.idle_time = milliseconds(40)});
  EXPECT_EQ(run(next_head(*server)), ErrorKind::kClosed);
}

TEST_F(ServerLifeTest, AClientThatLeavesIsSeenAndOneThatPipelinesIsNotGone) {
  open();
  send(kGet);
  ASSERT_TRUE(head_comes());
  net::Signal wake(loop);
  server->watch_client(&wake);
  while (run(sleep(wake, milliseconds(20))) == net::Wake::kNotified) EXPECT_FALSE(server->gone());
  send(kGet);
  EXPECT_EQ(run(sleep(wake, milliseconds(2'000))), net::Wake::kNotified);
  EXPECT_FALSE(server->gone());
  client->close();
  EXPECT_EQ(run(sleep(wake, milliseconds(2'000))), net::Wake::kNotified);
  EXPECT_TRUE(server->gone());
  server->watch_client(nullptr);
}

TEST_F(ServerLifeTest, WhatWasReadAheadIsTheNextRequest) {
  open();
  send(kGet);
  ASSERT_TRUE(head_comes());
  net::Signal wake(loop);
  server->watch_client(&wake);
  EXPECT_FALSE(server->gone());
  send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  while (!server->gone() && run(sleep(wake, milliseconds(50))) == net::Wake::kNotified) {
  }
  server->watch_client(nullptr);
  EXPECT_TRUE(run(respond(*server, "ok")));
  ASSERT_TRUE(head_comes());
  Buffer into;
  CountingReserve reserve;
  EXPECT_EQ(run(body(*server, into, 100, reserve)), ErrorKind::kWouldBlock);
  EXPECT_EQ(into.view(), "hello");
}

TEST_F(ServerLifeTest, ReadsNoFurtherAheadThanAllowed) {
  open({.read_ahead_bytes = 10'000});
  send(kGet);
  ASSERT_TRUE(head_comes());
  group.spawn(send_all(*client, std::string(30'000'000, 'x')));
  net::Signal wake(loop);
  server->watch_client(&wake);
  for (int i = 0; i < 50; ++i) {
    (void)run(sleep(wake, milliseconds(1)));
    EXPECT_FALSE(server->gone());
  }
  server->watch_client(nullptr);
  server->stream().close();
  client->close();
}

TEST_F(ServerLifeTest, ASlowReaderIsServed) {
  const std::string large(20'000'000, 'y');
  open({.write_gap = milliseconds(10'000)});
  send(kGet);
  ASSERT_TRUE(head_comes());
  std::string got;
  auto slowly = [](net::Stream& stream, std::string& into, std::size_t whole) -> Task<void> {
    net::Signal pause(stream.loop());
    std::vector<char> block(2'000'000);
    while (into.size() < whole) {
      const Result<std::size_t> read = co_await stream.read_some(block, soon());
      if (!read || *read == 0) co_return;
      into.append(block.data(), *read);
      co_await pause.wait(net::Deadline::after(milliseconds(15)));
    }
  };
  group.spawn(slowly(*client, got, large.size()));
  EXPECT_TRUE(run(respond(*server, large)));
  drain();
  EXPECT_TRUE(got.ends_with(large.substr(0, 1'000)));
  EXPECT_GE(got.size(), large.size());
}

TEST_F(ServerLifeTest, AReaderThatTakesNothingIsGone) {
  const std::string large(20'000'000, 'y');
  open({.write_gap = milliseconds(300)});
  send(kGet);
  ASSERT_TRUE(head_comes());
  const Status stuck = run(respond(*server, large));
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().kind, ErrorKind::kClosed);
  EXPECT_FALSE(server->keeps_alive());
}

TEST_F(ServerLifeTest, HeadHasNoBodyInItsAnswer) {
  open();
  send("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(head_comes());
  EXPECT_TRUE(run(respond(*server, "hello")));
  const std::string answer = run(read_until(*client, "\r\n\r\n"));
  EXPECT_NE(answer.find("content-length: 5"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST_F(ServerLifeTest, AHeaderCannotEndItsLine) {
  open();
  send(kGet);
  ASSERT_TRUE(head_comes());
  auto evil = [](ServerConnection& s) -> Task<Status> {
    const Header headers[] = {{"x-a", "b\r\nx-evil: c"}, {"x-good", "d"}};
    Status done = co_await s.respond(200, headers, "ok");
    co_return done;
  };
  EXPECT_TRUE(run(evil(*server)));
  const std::string answer = run(read_until(*client, "ok"));
  EXPECT_EQ(answer.find("x-evil"), std::string::npos);
  EXPECT_NE(answer.find("x-good: d"), std::string::npos);
}

TEST_F(ServerLifeTest, AnAnswerToARequestThatIsStillBeingSentArrives) {
  open();
  group.spawn(send_all(*client, post(3'000'000) + std::string(3'000'000, 'x')));
  ASSERT_TRUE(head_comes());
  auto answer = [](ServerConnection& s) -> Task<void> {
    (void)co_await s.respond(413, {}, "too large");
    s.stream().close();
  };
  group.spawn(answer(*server));
  EXPECT_TRUE(run(read_until(*client, "too large")).ends_with("too large"));
  client->close();
}

}  // namespace
}  // namespace sluice::http::h1
