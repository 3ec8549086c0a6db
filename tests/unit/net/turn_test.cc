// That a peer which sends and sends gets its turns and no more: counted in what is read between two turns of another
// task on the same loop.
#include "net/turn.h"

#include <gtest/gtest.h>

#include "net/handshakes.h"
#include "net/stream.h"
#include "net/tls_context.h"
#include "support/loop_runner.h"
#include "support/soon.h"
#include "support/tls_files.h"

namespace sluice::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using test::soon;

TEST(Turn, IsSpentByBytesOrByRecords) {
  Turn turn;
  turn.took_bytes(Turn::kBytes - 1);
  EXPECT_FALSE(turn.spent());
  EXPECT_EQ(turn.bytes_left(), 1u);
  turn.took_bytes(1000);
  EXPECT_TRUE(turn.spent());
  turn.begin();
  EXPECT_FALSE(turn.spent());
  turn.took_records(Turn::kRecords);
  EXPECT_TRUE(turn.spent());
}

TEST(Allowance, IsEarnedAgainInTime) {
  const MonoTime start = Mono::now();
  Allowance allowance(3, seconds(1));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(allowance.take(start)) << i;
  EXPECT_FALSE(allowance.take(start));
  EXPECT_FALSE(allowance.take(start + milliseconds(999)));
  EXPECT_TRUE(allowance.take(start + milliseconds(1001)));
  EXPECT_FALSE(allowance.take(start + milliseconds(1500)));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(allowance.take(start + seconds(60))) << "and never more than at first";
  EXPECT_FALSE(allowance.take(start + seconds(60)));
}

class TurnTest : public test::LoopTest {
 protected:
  struct Count {
    std::size_t bytes = 0, in_this_turn = 0, worst = 0;
    bool over = false;
  };

  void make_pair() {
    auto pair = test::connected_pair(loop);
    client = std::move(pair.client);
    server = std::move(pair.server);
  }
  // `client` speaks TLS as OpenSSL does, `server` as its context says.
  void shake(SSL_CTX* of_server) {
    client_context = create_client_tls({.ca_file = files.ca_file, .alpn = {"http/1.1"}}).value();
    group.spawn(be_client(*client, client_context.get()));
    run(be_server(*server, of_server));
    drain();
  }
  static Task<void> be_client(Stream& stream, SSL_CTX* context) {
    const Status done = co_await stream.handshake_as_client(context, "localhost", soon());
    EXPECT_TRUE(done) << done.error().what;
  }
  static Task<void> be_server(Stream& stream, SSL_CTX* context) {
    const Status done = co_await stream.handshake_as_server(context, soon());
    EXPECT_TRUE(done) << done.error().what;
  }

  // Writes without a pause, so that there is always something to read.
  static Task<void> send(Stream& stream, std::size_t pieces, std::size_t piece_bytes) {
    const std::string piece(piece_bytes, 'x');
    for (std::size_t i = 0; i < pieces; ++i) {
      if (const Status done = co_await stream.write(piece, soon()); !done) co_return;
    }
    stream.end_writing();
  }
  static Task<void> read_all(Stream& stream, Count& count) {
    std::string into(1u << 20, ' ');
    for (;;) {
      const Result<std::size_t> n = co_await stream.read_some(into, soon());
      EXPECT_TRUE(n) << n.error().what;
      if (!n || *n == 0) break;
      count.bytes += *n;
      count.in_this_turn += *n;
      count.worst = std::max(count.worst, count.in_this_turn);
    }
    count.over = true;
  }
  // Everybody else on the loop.
  static Task<void> others(Loop& loop, Count& count) {
    while (!count.over) {
      co_await loop.yield();
      count.in_this_turn = 0;
    }
  }
  Count read_beside_others(Stream& stream) {
    Count count;
    group.spawn(others(loop, count));
    run(read_all(stream, count));
    drain();
    return count;
  }

  test::TlsFiles files;
  std::shared_ptr<SSL_CTX> client_context;
  std::unique_ptr<Stream> client, server;
};

TEST_F(TurnTest, OthersRunBetweenTheBytesOfAPeerThatNeverPauses) {
  make_pair();
  group.spawn(send(*client, 64, 256 * 1024));
  const Count count = read_beside_others(*server);
  EXPECT_EQ(count.bytes, 64u * 256 * 1024);
  EXPECT_LE(count.worst, Turn::kBytes);
}

TEST_F(TurnTest, OthersRunBetweenTheRecordsOfAPeerThatNeverPauses) {
  for (const TlsFloor floor : {TlsFloor::k13, TlsFloor::k12}) {
    make_pair();
    const auto tls =
        ServerTls::create({.certificate_file = files.certificate_file, .key_file = files.key_file, .floor = floor})
            .value();
    if (floor == TlsFloor::k12) SSL_CTX_set_max_proto_version(tls->context().get(), TLS1_2_VERSION);
    shake(tls->context().get());
    group.spawn(send(*client, 20'000, 1));
    const Count count = read_beside_others(*server);
    EXPECT_EQ(count.bytes, 20'000u);
    EXPECT_LE(count.worst, Turn::kRecords);
  }
}

TEST_F(TurnTest, ADeadlineEndsAReadThatNeverHasToWait) {
  make_pair();
  group.spawn(send(*client, 4, 1024));
  drain();
  const auto read_once = [](Stream& stream, milliseconds from_now) -> Task<Result<std::size_t>> {
    std::array<char, 1024> into;
    const Result<std::size_t> n = co_await stream.read_some(into, Deadline::after(from_now));
    co_return n;
  };
  EXPECT_TRUE(run(read_once(*server, milliseconds(-1)))) << "what is there is read";
  server->charge(Turn::kRecords);
  const Result<std::size_t> late = run(read_once(*server, milliseconds(-1)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::kTimeout);
  server->charge(Turn::kRecords);
  EXPECT_TRUE(run(read_once(*server, milliseconds(10'000))));
}

TEST_F(TurnTest, AWatchGoesOnWhereATurnWasSpent) {
  make_pair();
  group.spawn(send(*client, 16, 64 * 1024));
  const auto read_all_by_watch = [](Loop& loop, Stream& stream) -> Task<std::size_t> {
    Signal wake(loop);
    stream.watch_readable(&wake);
    std::size_t bytes = 0;
    std::string into(8 * 1024, ' ');
    for (;;) {
      const Result<std::size_t> n = stream.try_read(into);
      if (n && *n == 0) break;
      if (n) bytes += *n;
      if (!n && n.error().kind != ErrorKind::kWouldBlock) break;
      if (n) continue;
      const Wake woken = co_await wake.wait(soon());
      EXPECT_EQ(woken, Wake::kNotified);
      if (woken != Wake::kNotified) break;
    }
    stream.watch_readable(nullptr);
    co_return bytes;
  };
  EXPECT_EQ(run(read_all_by_watch(loop, *server)), 16u * 64 * 1024);
}

TEST_F(TurnTest, WhatIsChargedIsPartOfTheTurn) {
  make_pair();
  group.spawn(send(*client, 4, 1024));
  drain();
  ASSERT_TRUE(run(server->wait_readable(soon())));
  std::array<char, 1024> into;
  ASSERT_TRUE(server->try_read(into));
  server->charge(Turn::kRecords);
  const Result<std::size_t> more = server->try_read(into);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().kind, ErrorKind::kWouldBlock);
  EXPECT_FALSE(server->is_quiet()) << "there is more, whatever the turn";
}

// A server whose records stay OpenSSL's, so that it can be told to renew its keys without end.
TEST_F(TurnTest, AServerThatRenewsItsKeysWithoutEndIsLeft) {
  make_pair();
  const auto tls = ServerTls::create({.certificate_file = files.certificate_file, .key_file = files.key_file}).value();
  SSL_CTX_set_keylog_callback(tls->context().get(), nullptr);
  shake(tls->context().get());
  ASSERT_NE(server->ssl(), nullptr);
  for (int i = 0; i < 100; ++i) {
    SSL_key_update(server->ssl(), SSL_KEY_UPDATE_NOT_REQUESTED);
    ASSERT_TRUE(server->try_write("x"));
  }
  const auto read_to_the_end = [](Stream& stream) -> Task<std::string> {
    std::array<char, 100> into;
    for (;;) {
      const Result<std::size_t> n = co_await stream.read_some(into, soon());
      if (!n) co_return n.error().what;
      if (*n == 0) co_return "ended";
    }
  };
  EXPECT_EQ(run(read_to_the_end(*client)), "too many TLS messages without content");
}

TEST_F(TurnTest, ManyThatAreReadyTogetherGiveWay) {
  const auto busy = [](int& left) -> Task<void> {
    const MonoTime until = Mono::now() + milliseconds(1);
    while (Mono::now() < until) {
    }
    --left;
    co_return;
  };
  int left = 100, seen = 0;
  for (int i = 0; i < 100; ++i) group.spawn(busy(left));
  loop.post([&] { seen = left; });
  drain();
  EXPECT_EQ(left, 0);
  EXPECT_GT(seen, 0) << "what was posted behind them waited for all of them";
}

// --- handshakes ------------------------------------------------------------------------------------------------------

TEST_F(TurnTest, HandshakesTakeTheirTurnsAndTooManyAreRefused) {
  Handshakes handshakes(loop, {.running = 10, .waiting = 3});
  std::string log;
  const auto enter = [](Handshakes& all, std::string& into, char name) -> Task<void> {
    const Handshakes::Entry entry = co_await all.enter();
    into += name;
    into += entry == Handshakes::Entry::kFull ? '!' : ' ';
  };
  for (const char name : {'a', 'b', 'c', 'd'}) group.spawn(enter(handshakes, log, name));
  drain();
  EXPECT_EQ(log, "d!a b c ");
}

TEST_F(TurnTest, OneHandshakeTooManyEndsTheOneThatBeganFirst) {
  Handshakes handshakes(loop, {.running = 2, .waiting = 10});
  make_pair();
  auto first = std::move(server);
  make_pair();
  auto second = std::move(server);
  make_pair();
  const Handshakes::Running one(handshakes, *first), two(handshakes, *second);
  EXPECT_TRUE(first->is_open());
  const Handshakes::Running three(handshakes, *server);
  EXPECT_FALSE(first->is_open());
  EXPECT_TRUE(second->is_open());
  EXPECT_TRUE(server->is_open());
}

TEST_F(TurnTest, NothingIsComputedForAPeerThatHasLeft) {
  const auto tls = ServerTls::create({.certificate_file = files.certificate_file, .key_file = files.key_file}).value();
  static int hellos;
  hellos = 0;
  SSL_CTX_set_client_hello_cb(
      tls->context().get(),
      [](SSL*, int*, void*) {
        ++hellos;
        return SSL_CLIENT_HELLO_SUCCESS;
      },
      nullptr);
  client_context = create_client_tls({.ca_file = files.ca_file, .alpn = {"http/1.1"}}).value();
  const auto accept = [](Stream& stream, SSL_CTX* context, Handshakes& handshakes) -> Task<Status> {
    return stream.handshake_as_server(context, soon(), &handshakes);
  };
  const auto shake_and_leave = [](Stream& stream, SSL_CTX* context, bool stays) -> Task<void> {
    (void)co_await stream.handshake_as_client(context, "localhost", Deadline::after(stays ? seconds(10) : seconds(0)));
    if (!stays) stream.end_writing();
  };
  for (const bool stays : {true, false}) {
    make_pair();
    Handshakes handshakes(loop, {});
    group.spawn(shake_and_leave(*client, client_context.get(), stays));
    if (!stays) drain();  // its hello is there, and its FIN
    const Status done = run(accept(*server, tls->context().get(), handshakes));
    EXPECT_EQ(static_cast<bool>(done), stays);
    EXPECT_EQ(hellos, 1) << "that of the one that stays";
    EXPECT_EQ(handshakes.running(), 0u);
    drain();
  }
}

}  // namespace
}  // namespace sluice::net
