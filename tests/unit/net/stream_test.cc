#include "net/stream.h"

#include <gtest/gtest.h>

#include <thread>

#include "net/tls_context.h"
#include "support/loop_runner.h"
#include "support/soon.h"
#include "support/tls_files.h"

namespace sluice::net {
namespace {

using std::chrono::milliseconds;

using test::soon;

class StreamTest : public test::LoopTest {
 protected:
  void make_pair() {
    auto pair = test::connected_pair(loop);
    client = std::move(pair.client);
    server = std::move(pair.server);
  }

  // Both ends of a TLS connection, handshake over.
  void make_tls_pair(TlsFloor floor = TlsFloor::k13, const std::string& suites = {}) {
    make_pair();
    tls = ServerTls::create({.certificate_file = files.certificate_file,
                             .key_file = files.key_file,
                             .floor = floor,
                             .cipher_suites = suites,
                             .tunnel_ca = files.ca.certificate})
              .value();
    client_context = create_client_tls({.ca_file = files.ca_file, .alpn = {"http/1.1"}}).value();
    if (floor == TlsFloor::k12) SSL_CTX_set_max_proto_version(client_context.get(), TLS1_2_VERSION);
    run(shake_hands(*client, *server, client_context.get(), tls->context().get()));
  }

  Task<void> shake_hands(Stream& c, Stream& s, SSL_CTX* cc, SSL_CTX* sc) {
    Signal accepted(loop);
    group.spawn(accept(s, sc, accepted));
    const Status done = co_await c.handshake_as_client(cc, "localhost", soon());
    EXPECT_TRUE(done) << done.error().what;
    co_await accepted.wait();
  }
  static Task<void> accept(Stream& s, SSL_CTX* sc, Signal& accepted) {
    const Status done = co_await s.handshake_as_server(sc, soon());
    EXPECT_TRUE(done) << done.error().what;
    accepted.notify();
  }

  static Task<std::string> read_all(Stream& stream) {
    std::string all;
    std::array<char, 5000> block;
    for (;;) {
      const Result<std::size_t> n = co_await stream.read_some(block, soon());
      EXPECT_TRUE(n) << n.error().what;
      if (!n || *n == 0) co_return all;
      all.append(block.data(), *n);
    }
  }
  static Task<std::string> read_once(Stream& stream) {
    std::array<char, 5000> block;
    const Result<std::size_t> n = co_await stream.read_some(block, soon());
    if (!n) co_return "error";
    co_return std::string(block.data(), *n);
  }
  static Task<void> write_and_close(Stream& stream, std::string text) {
    const Status done = co_await stream.write(text, soon());
    EXPECT_TRUE(done) << done.error().what;
    stream.close();
  }
  // A close with a ticket unread would be a reset.
  static Task<void> write_and_end(Stream& stream, std::string text) {
    const Status done = co_await stream.write(text, soon());
    EXPECT_TRUE(done) << done.error().what;
    stream.end_writing();
  }
  static Task<Result<std::size_t>> read_for(Stream& stream, Deadline deadline) {
    std::array<char, 100> block;
    const Result<std::size_t> n = co_await stream.read_some(block, deadline);
    co_return n;
  }
  static Task<Status> write_for(Stream& stream, std::string_view text, Deadline deadline) {
    return stream.write(text, deadline);
  }

  test::TlsFiles files;
  std::unique_ptr<ServerTls> tls;
  std::shared_ptr<SSL_CTX> client_context;
  std::unique_ptr<Stream> client, server;
};

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

TEST_F(StreamTest, PlainBytesArriveInOrderAndEndWithZero) {
  make_pair();
  const std::string text = pattern(3'000'000);
  group.spawn(write_and_close(*client, text));
  EXPECT_TRUE(run(read_all(*server)) == text);
  EXPECT_FALSE(server->truncated());
}

TEST_F(StreamTest, TlsBytesArriveInOrderAndEndWithZero) {
  make_tls_pair();
  EXPECT_EQ(client->alpn(), "http/1.1");
  EXPECT_EQ(server->alpn(), "http/1.1");
  const std::string text = pattern(3'000'000);
  group.spawn(write_and_close(*server, text));
  EXPECT_TRUE(run(read_all(*client)) == text);
  EXPECT_FALSE(client->truncated());
}

TEST_F(StreamTest, BothDirectionsAtOnce) {
  make_tls_pair();
  const std::string text = pattern(5'000'000);
  auto there = [](Stream& s, const std::string& t) -> Task<void> {
    EXPECT_TRUE(co_await s.write(t, soon()));
    s.end_writing();
  };
  auto back = [](Stream& s, std::string& all) -> Task<void> { all = co_await read_all(s); };
  std::string at_server;
  group.spawn(there(*server, text));
  group.spawn(there(*client, text));
  group.spawn(back(*server, at_server));
  EXPECT_TRUE(run(read_all(*client)) == text);
  drain();
  EXPECT_TRUE(at_server == text);
}

TEST_F(StreamTest, Tls12IsSpokenWhereAllowed) {
  make_tls_pair(TlsFloor::k12);
  EXPECT_EQ(SSL_version(client->ssl()), TLS1_2_VERSION);
  group.spawn(write_and_close(*client, "hello"));
  EXPECT_EQ(run(read_all(*server)), "hello");
}

TEST_F(StreamTest, NothingOfOpenSslOutlivesAServersHandshake) {
  make_tls_pair();
  EXPECT_EQ(server->ssl(), nullptr);
  EXPECT_NE(client->ssl(), nullptr);
  make_tls_pair(TlsFloor::k12);
  EXPECT_NE(server->ssl(), nullptr);
}

TEST_F(StreamTest, EverySuiteCarriesMuchBothWays) {
  const std::string much = pattern(700'000);
  for (const char* suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    make_tls_pair(TlsFloor::k13, suite);
    EXPECT_EQ(server->ssl(), nullptr) << suite;
    group.spawn(write_and_end(*client, much));
    EXPECT_EQ(run(read_all(*server)), much) << suite;
    EXPECT_FALSE(server->truncated());
    make_tls_pair(TlsFloor::k13, suite);
    group.spawn(write_and_close(*server, much));
    EXPECT_EQ(run(read_all(*client)), much) << suite;
    EXPECT_FALSE(client->truncated());
  }
}

TEST_F(StreamTest, KeysAreRenewedAtTheClientsWish) {
  make_tls_pair();
  for (const std::string text : {"first", "second", "third"}) {
    SSL_key_update(client->ssl(), SSL_KEY_UPDATE_REQUESTED);
    ASSERT_TRUE(run(write_for(*client, text, soon())));
    EXPECT_EQ(run(read_once(*server)), text);
    ASSERT_TRUE(run(write_for(*server, text, soon())));
    EXPECT_EQ(run(read_once(*client)), text);
  }
}

TEST_F(StreamTest, MissingCloseNotifyIsTruncation) {
  make_tls_pair();
  EXPECT_EQ(client->try_write("part").value(), 4U);
  auto parts = client->release();
  ::shutdown(parts.fd, SHUT_WR);  // no word from TLS
  EXPECT_EQ(run(read_all(*server)), "part");
  EXPECT_TRUE(server->truncated());
  EXPECT_EQ(run(read_all(*server)), "");
  ::close(parts.fd);
}

TEST_F(StreamTest, ResetIsAnError) {
  for (const bool with_tls : {false, true}) {
    with_tls ? make_tls_pair() : make_pair();
    client->abort();
    const auto n = run(read_for(*server, soon()));
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error().kind, ErrorKind::kClosed);
  }
}

TEST_F(StreamTest, DeadlineEndsReadAndWrite) {
  for (const bool with_tls : {false, true}) {
    with_tls ? make_tls_pair() : make_pair();
    const auto n = run(read_for(*server, Deadline::after(milliseconds(30))));
    ASSERT_FALSE(n);
    EXPECT_EQ(n.error().kind, ErrorKind::kTimeout);
    const std::string text = pattern(20'000'000);
    const auto done = run(write_for(*server, text, Deadline::after(milliseconds(100))));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::kTimeout);
  }
}

TEST_F(StreamTest, CloseEndsWhatWaits) {
  make_tls_pair();
  auto close_later = [](Stream& stream, Loop& on) -> Task<void> {
    Signal pause(on);
    co_await pause.wait(Deadline::after(milliseconds(20)));
    stream.close();
  };
  group.spawn(close_later(*server, loop));
  const auto n = run(read_for(*server, soon()));
  ASSERT_FALSE(n);
  EXPECT_EQ(n.error().kind, ErrorKind::kClosed);
  EXPECT_FALSE(server->is_open());
  EXPECT_EQ(run(read_for(*server, soon())).error().kind, ErrorKind::kClosed);
  EXPECT_EQ(server->try_write("x").error().kind, ErrorKind::kClosed);
}

TEST_F(StreamTest, DestructionWithAWaitUnderWayIsHarmless) {
  make_pair();
  Signal woken(loop);
  std::array<char, 10> block;
  EXPECT_EQ(server->try_read(block).error().kind, ErrorKind::kWouldBlock);
  server->watch_readable(&woken);
  server.reset();
  client->close();
  poll();
}

TEST_F(StreamTest, WatchNotifiesOncePerReadiness) {
  for (const bool with_tls : {false, true}) {
    with_tls ? make_tls_pair() : make_pair();
    Signal woken(loop);
    std::array<char, 10> block;
    while (server->try_read(block)) {
    }
    server->watch_readable(&woken);
    auto wait = [](Signal& signal, milliseconds time) -> Task<Wake> {
      co_return co_await signal.wait(Deadline::after(time));
    };
    EXPECT_EQ(run(wait(woken, milliseconds(30))), Wake::kDeadline);
    EXPECT_EQ(client->try_write("abc").value(), 3U);
    EXPECT_EQ(run(wait(woken, milliseconds(5000))), Wake::kNotified);
    EXPECT_EQ(server->try_read(block).value(), 3U);
    EXPECT_EQ(server->try_read(block).error().kind, ErrorKind::kWouldBlock);
    client->close();
    EXPECT_EQ(run(wait(woken, milliseconds(5000))), Wake::kNotified);
    EXPECT_EQ(server->try_read(block).value(), 0U);
    EXPECT_EQ(server->try_read(block).value(), 0U);
  }
}

TEST_F(StreamTest, MovesToAnotherLoopWithWhatTlsHolds) {
  make_tls_pair();
  std::array<char, 3> few;
  EXPECT_EQ(client->try_write("first second").value(), 12U);
  auto read_few = [](Stream& s, std::span<char> into) -> Task<Result<std::size_t>> {
    return s.read_some(into, soon());
  };
  EXPECT_EQ(run(read_few(*server, few)).value(), 3U);
  Stream::Parts parts = server->release();
  EXPECT_FALSE(server->is_open());
  std::string got;
  std::thread other([&] {
    Loop theirs(1);
    TaskGroup tasks(theirs, [](const char* what) { ADD_FAILURE() << what; });
    auto stream = std::make_unique<Stream>(theirs, std::move(parts));
    auto rest = [](Stream& s, std::string& into) -> Task<void> {
      const Status ready = co_await s.wait_readable(soon());
      EXPECT_TRUE(ready);
      into = co_await read_once(s);
      EXPECT_TRUE(co_await s.write("back", soon()));
      s.close();
    };
    tasks.spawn(rest(*stream, got));
    theirs.io().run();
  });
  EXPECT_EQ(run(read_all(*client)), "back");
  other.join();
  EXPECT_EQ(got, "st second");
}

TEST_F(StreamTest, ConnectsAndSaysWhyNot) {
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor(loop.executor(),
                                                                Endpoint(asio::ip::address_v4::loopback(), 0));
  auto made = run(Stream::connect(loop, acceptor.local_endpoint(), soon()));
  ASSERT_TRUE(made);
  EXPECT_TRUE((*made)->is_open());
  const Endpoint gone = acceptor.local_endpoint();
  acceptor.close();
  auto refused = run(Stream::connect(loop, gone, soon()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kConnect);
  EXPECT_EQ(refused.error().retry, Retry::kYes);
  EXPECT_EQ(refused.error().os_code, ECONNREFUSED);
}

TEST_F(StreamTest, EndWritingLeavesReadingOpen) {
  make_tls_pair();
  server->end_writing();
  EXPECT_EQ(run(read_once(*client)), "");
  EXPECT_FALSE(client->truncated());
  EXPECT_EQ(client->try_write("still").value(), 5U);
  EXPECT_EQ(run(read_once(*server)), "still");
}

TEST_F(StreamTest, HandshakeRejectsWrongNameAndGarbage) {
  make_pair();
  tls = ServerTls::create({.certificate_file = files.certificate_file, .key_file = files.key_file}).value();
  client_context = create_client_tls({.ca_file = files.ca_file}).value();
  auto refuse = [](Stream& s, SSL_CTX* context) -> Task<void> {
    EXPECT_FALSE(co_await s.handshake_as_server(context, soon()));
    s.close();
  };
  auto wrong = [](Stream& s, SSL_CTX* context) -> Task<Status> {
    Status done = co_await s.handshake_as_client(context, "example.org", soon());
    s.close();
    co_return done;
  };
  group.spawn(refuse(*server, tls->context().get()));
  EXPECT_EQ(run(wrong(*client, client_context.get())).error().kind, ErrorKind::kProtocol);
  drain();
  make_pair();
  EXPECT_TRUE(client->try_write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  run(refuse(*server, tls->context().get()));
}

}  // namespace
}  // namespace sluice::net
