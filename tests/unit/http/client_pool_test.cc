// Calls against a server whose every byte a test decides.
#include "http/h1/client_pool.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include <deque>
#include <thread>

#include "net/tls_context.h"
#include "support/loop_runner.h"
#include "support/soon.h"
#include "support/tls_files.h"

namespace sluice::http::h1 {
namespace {

using std::chrono::milliseconds;

using test::soon;

// What the server does on one connection: for each step, waits for a whole head and `body_bytes`, then writes `answer`.
struct Step {
  std::string answer;
  std::size_t body_bytes = 0;
};
// Deaf: drops whatever arrives, so that nothing is acknowledged, until the test says that it ends.
enum class After : std::uint8_t { kKeep, kClose, kReset, kDeafThenClose, kDeafThenReset };
struct Script {
  std::vector<Step> steps;
  After after = After::kKeep;
};

struct ClientPoolTest : test::LoopTest {
  using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

  ClientPoolTest() : acceptor(loop.executor(), net::Endpoint(asio::ip::address_v4::loopback(), 0)) {}

  void TearDown() override {
    pool.reset();
    acceptor.close();
    for (auto& stream : streams) stream->close();
    LoopTest::TearDown();
  }

  void make_pool(std::function<void(ClientPoolOptions&)> change = [](ClientPoolOptions&) {}) {
    ClientPoolOptions options;
    options.url = parse_base_url("http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port())).value();
    options.connect_time = milliseconds(2'000);
    change(options);
    pool = std::make_unique<ClientPool>(loop, group, options);
  }

  // Plays one script per accepted connection.
  void serve(std::deque<Script> scripts, SSL_CTX* context = nullptr) {
    group.spawn(accept(*this, std::move(scripts), context));
  }
  static Task<void> accept(ClientPoolTest& test, std::deque<Script> scripts, SSL_CTX* context) {
    while (!scripts.empty()) {
      auto [ec, socket] = co_await test.acceptor.async_accept(use_task);
      if (ec) co_return;
      ++test.accepted;
      const int fd = socket.native_handle();
      test.streams.push_back(std::make_unique<net::Stream>(test.loop, std::move(socket)));
      test.group.spawn(play(test, *test.streams.back(), std::move(scripts.front()), context, fd));
      scripts.pop_front();
    }
  }
  static Task<void> play(ClientPoolTest& test, net::Stream& stream, Script script, SSL_CTX* context, int fd) {
    if (context != nullptr) {
      const Status secured = co_await stream.handshake_as_server(context, soon());
      if (!secured) co_return stream.close();
    }
    std::string got;
    std::array<char, 65'536> block;
    for (const Step& step : script.steps) {
      for (;;) {
        const std::size_t end = got.find("\r\n\r\n");
        if (end != std::string::npos && got.size() >= end + 4 + step.body_bytes) {
          test.requests.push_back(got.substr(0, end + 4 + step.body_bytes));
          got.erase(0, end + 4 + step.body_bytes);
          break;
        }
        const Result<std::size_t> read = co_await stream.read_some(block, soon());
        if (!read || *read == 0) {
          ++test.client_left;
          co_return;
        }
        got.append(block.data(), *read);
      }
      (void)co_await stream.write(step.answer, soon());
      std::this_thread::sleep_for(std::exchange(test.stall, milliseconds(0)));
    }
    if (script.after == After::kDeafThenClose || script.after == After::kDeafThenReset) {
      sock_filter drop_all{BPF_RET | BPF_K, 0, 0, 0};
      const sock_fprog program{1, &drop_all};
      EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
      while (!test.end) co_await test.pause(milliseconds(1));
      if (script.after == After::kDeafThenReset) co_return stream.abort();
    }
    if (script.after == After::kClose || script.after == After::kDeafThenClose) co_return stream.close();
    if (script.after == After::kReset) co_return stream.abort();
    for (;;) {
      const Result<std::size_t> read = co_await stream.read_some(block, soon());
      if (!read || *read == 0) break;
      test.unasked_bytes += *read;
    }
    ++test.client_left;
    test.left_at = Mono::now();
  }

  struct Ended {
    CallState state = CallState::kRunning;
    Error error;
    unsigned status = 0;
    std::string body;
  };
  // One call to its end.
  Ended call(std::string_view method = "GET", std::vector<std::string_view> body = {}, net::Deadline head = soon()) {
    return run(call_to_end(*this, method, std::move(body), head));
  }
  static Task<Ended> call_to_end(ClientPoolTest& test, std::string_view method, std::vector<std::string_view> body,
                                 net::Deadline head) {
    net::Signal wake(test.loop);
    const Header headers[] = {{"authorization", "Bearer key"}};
    const OutgoingRequest request{.method = method, .path = "/v1/x", .headers = headers, .body = body};
    const std::unique_ptr<OutgoingCall> call = test.pool->start(request, wake, head);
    Ended ended;
    while (call->state() == CallState::kRunning) {
      co_await wake.wait(soon());
      const std::size_t size = call->body().size();
      ended.body += call->body().view();
      call->body().consume(size);
      call->taken(size);
    }
    ended.body += call->body().view();
    ended.state = call->state();
    if (ended.state == CallState::kFailed) ended.error = call->error();
    if (call->head() != nullptr) ended.status = call->head()->status;
    co_return ended;
  }

  static Task<void> note(ClientPoolTest& test, Task<Ended> call) {
    (void)co_await std::move(call);
    ++test.noted;
  }

  Task<void> pause(milliseconds time) {
    net::Signal never(loop);
    co_await never.wait(net::Deadline::after(time));
  }

  Acceptor acceptor;
  std::unique_ptr<ClientPool> pool;
  std::vector<std::unique_ptr<net::Stream>> streams;
  std::vector<std::string> requests;
  int accepted = 0;
  int client_left = 0;
  std::size_t unasked_bytes = 0;
  milliseconds stall{0};  // of the whole loop, once, behind an answer
  bool end = false;       // of deaf connections
  int noted = 0;
  MonoTime left_at;
};

const std::string kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

TEST_F(ClientPoolTest, CallsShareAConnection) {
  serve({{{{kOk}, {kOk, 5}, {kOk}}}});
  make_pool();
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(call("POST", {"hel", "lo"}).body, "ok");
  EXPECT_EQ(call().state, CallState::kEnded);
  EXPECT_EQ(accepted, 1);
  ASSERT_EQ(requests.size(), 3U);
  const std::string host = "host: 127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
  EXPECT_EQ(requests[1],
            "POST /v1/x HTTP/1.1\r\n" + host + "\r\nauthorization: Bearer key\r\ncontent-length: 5\r\n\r\nhello");
}

TEST_F(ClientPoolTest, AConnectionThatTheServerClosedIsNotUsedAgain) {
  serve({{{{kOk}}, After::kClose}, {{{kOk}}, After::kReset}, {{{kOk}}}});
  make_pool();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(call().body, "ok") << i;
    run(pause(milliseconds(5)));
  }
  EXPECT_EQ(accepted, 3);
}

TEST_F(ClientPoolTest, AnAnswerThatSaysCloseIsObeyed) {
  serve({{{{"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"}}}, {{{kOk}}}});
  make_pool();
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(accepted, 2);
}

TEST_F(ClientPoolTest, BytesBehindAnAnswerAreNobodys) {
  serve({{{{kOk + "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"}}}, {{{kOk}}}});
  make_pool();
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(accepted, 2);
}

TEST_F(ClientPoolTest, ARequestThatWasSentIsNotSaidToBeRetryable) {
  serve({{{{kOk}, {""}}, After::kClose}});
  make_pool();
  EXPECT_EQ(call().body, "ok");
  const Ended ended = call("POST", {"body"});
  EXPECT_EQ(ended.state, CallState::kFailed);
  EXPECT_EQ(ended.error.retry, Retry::kNo);
  EXPECT_EQ(ended.error.origin, Origin::kUpstream);
}

TEST_F(ClientPoolTest, AServerThatIsNotThereIsRetryable) {
  make_pool();
  acceptor.close();
  const Ended ended = call();
  EXPECT_EQ(ended.state, CallState::kFailed);
  EXPECT_EQ(ended.error.kind, ErrorKind::kConnect);
  EXPECT_EQ(ended.error.retry, Retry::kYes);
}

TEST_F(ClientPoolTest, WhatCameBeforeABreakIsKept) {
  serve({{{{"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"}}, After::kClose}});
  make_pool();
  const Ended ended = call();
  EXPECT_EQ(ended.state, CallState::kFailed);
  EXPECT_EQ(ended.status, 200U);
  EXPECT_EQ(ended.body, "hello");
  EXPECT_EQ(ended.error.retry, Retry::kNo);
}

TEST_F(ClientPoolTest, WhatIsNotHttpIsToldFromAnAnswerThatBreaksOff) {
  const std::string alert("\x15\x03\x01\x00\x02\x02\x46", 7);  // of TLS: no renegotiation
  serve({{{{alert}}, After::kClose},
         {{{"220 mail\r\n\r\n"}}, After::kClose},
         {{{"HT"}}, After::kClose},
         {{{"HTTP/1.1 200 OK\r\ncontent-le"}}, After::kClose}});
  make_pool();
  EXPECT_EQ(call().error.what, std::string_view(kNotHttp.what));
  EXPECT_EQ(call().error.what, std::string_view(kNotHttp.what));
  EXPECT_EQ(call().error.what, std::string_view("the model server broke off its answer"));
  EXPECT_EQ(call().error.what, std::string_view("the model server broke off its answer"));
}

TEST_F(ClientPoolTest, AnAnswerMayEndWithItsConnection) {
  serve({{{{"HTTP/1.0 200 OK\r\n\r\nhello"}}, After::kClose}});
  make_pool();
  const Ended ended = call();
  EXPECT_EQ(ended.state, CallState::kEnded);
  EXPECT_EQ(ended.body, "hello");
}

TEST_F(ClientPoolTest, AHeadThatDoesNotComeInTimeFails) {
  serve({{{{""}}}});
  make_pool();
  const Ended ended = call("GET", {}, net::Deadline::after(milliseconds(50)));
  EXPECT_EQ(ended.state, CallState::kFailed);
  EXPECT_EQ(ended.error.kind, ErrorKind::kTimeout);
  run(pause(milliseconds(20)));
  EXPECT_EQ(client_left, 1);
}

TEST_F(ClientPoolTest, DestroyingACallClosesItsConnectionAtOnce) {
  serve({{{{"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"}}}});
  make_pool();
  auto leave = [](ClientPoolTest& test) -> Task<void> {
    net::Signal wake(test.loop);
    std::unique_ptr<OutgoingCall> call =
        test.pool->start({.method = "GET", .path = "/", .headers = {}, .body = {}}, wake, soon());
    while (call->body().size() < 5) co_await wake.wait(soon());
    const MonoTime left = Mono::now();
    call.reset();
    while (test.client_left == 0) co_await test.pause(milliseconds(1));
    EXPECT_LT(test.left_at - left, milliseconds(50));
  };
  run(leave(*this));
}

TEST_F(ClientPoolTest, DestroyingACallInAnyStateIsHarmless) {
  const std::string large(4'000'000, 'x');
  serve(std::deque<Script>(12, Script{{{kOk, 100'000'000}}}));
  for (int turns = 0; turns < 12; ++turns) {
    make_pool();
    auto leave = [](ClientPoolTest& test, const std::string& body, int turns_before) -> Task<void> {
      net::Signal wake(test.loop);
      const std::string_view parts[] = {body};
      std::unique_ptr<OutgoingCall> call =
          test.pool->start({.method = "POST", .path = "/", .headers = {}, .body = parts}, wake, soon());
      for (int i = 0; i < turns_before; ++i) co_await asio::post(test.loop.io(), use_task);
    };
    run(leave(*this, large, turns));
    pool.reset();
  }
  run(pause(milliseconds(100)));
  EXPECT_EQ(client_left, accepted);
}

TEST_F(ClientPoolTest, ReadsNoFurtherAheadThanAllowed) {
  const std::string large(8'000'000, 'x');
  serve({{{{"HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(large.size()) + "\r\n\r\n" + large}}}});
  make_pool([](ClientPoolOptions& options) { options.read_ahead_bytes = 100'000; });
  auto look = [](ClientPoolTest& test, std::size_t whole) -> Task<void> {
    net::Signal wake(test.loop);
    std::unique_ptr<OutgoingCall> call =
        test.pool->start({.method = "GET", .path = "/", .headers = {}, .body = {}}, wake, soon());
    while (call->body().size() < 100'000) co_await wake.wait(soon());
    co_await test.pause(milliseconds(50));
    EXPECT_LT(call->body().size(), 300'000U);
    std::size_t got = 0;
    while (call->state() == CallState::kRunning || !call->body().empty()) {
      const std::size_t size = call->body().size();
      got += size;
      call->body().consume(size);
      call->taken(size);
      if (call->state() == CallState::kRunning) co_await wake.wait(soon());
    }
    EXPECT_EQ(got, whole);
  };
  run(look(*this, large.size()));
}

TEST_F(ClientPoolTest, AnAnswerBeforeTheRequestWasReadCounts) {
  const std::string large(30'000'000, 'x');
  serve({{{{"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"}}, After::kClose}, {{{kOk}}}});
  make_pool();
  const Ended ended = call("POST", {large});
  // The reset that follows may overtake the answer; then nothing of the answer was seen and the request was not whole.
  if (ended.state == CallState::kEnded) {
    EXPECT_EQ(ended.status, 413U);
  } else {
    EXPECT_EQ(ended.error.retry, Retry::kYes);
  }
  EXPECT_EQ(call().body, "ok");  // on a connection of its own
  EXPECT_EQ(accepted, 2);
}

TEST_F(ClientPoolTest, SpeaksTlsAndChecksWhoAnswers) {
  const test::TlsFiles files;
  const auto tls =
      net::ServerTls::create({.certificate_file = files.certificate_file, .key_file = files.key_file}).value();
  const auto context = tls->context();
  const auto trusting = net::create_client_tls({.ca_file = files.ca_file}).value();
  const auto doubting = net::create_client_tls({}).value();
  serve({{{{kOk}, {kOk}}}, {{{kOk}}}}, context.get());
  const auto with = [&](std::shared_ptr<SSL_CTX> client) {
    return [client](ClientPoolOptions& options) {
      options.url.tls = true;
      options.context = client;
    };
  };
  make_pool(with(trusting));
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(accepted, 1);
  make_pool(with(doubting));
  const Ended refused = call();
  EXPECT_EQ(refused.state, CallState::kFailed);
  EXPECT_EQ(refused.error.kind, ErrorKind::kConnect);
}

TEST_F(ClientPoolTest, IdleConnectionsGoAway) {
  serve({{{{kOk}}}});
  make_pool([](ClientPoolOptions& options) { options.idle_time = milliseconds(100); });
  EXPECT_EQ(call().body, "ok");
  auto wait = [](ClientPoolTest& test) -> Task<void> {
    while (test.client_left == 0) co_await test.pause(milliseconds(10));
  };
  run(wait(*this));
}

TEST_F(ClientPoolTest, C46IdleConnectionsAreGivenUpBeforeAServerOf5SecondsDoes) {
  EXPECT_LE(ClientPoolOptions().idle_time, milliseconds(4'000));
}

TEST_F(ClientPoolTest, C46AServerThatNamesItsIdleTimeIsLeftBeforeIt) {
  const std::string told = "HTTP/1.1 200 OK\r\nkeep-alive: timeout=1, max=9\r\ncontent-length: 2\r\n\r\nok";
  serve({{{{told}, {kOk}}}, {{{told}}}});
  make_pool();
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(call().body, "ok");  // at once: on the same connection
  EXPECT_EQ(accepted, 1);
  auto wait = [](ClientPoolTest& test, int left) -> Task<void> {
    while (test.client_left < left) co_await test.pause(milliseconds(10));
  };
  const MonoTime before = Mono::now();
  make_pool();
  EXPECT_EQ(call().body, "ok");
  run(wait(*this, 2));
  EXPECT_LT(Mono::now() - before, milliseconds(950));
}

TEST_F(ClientPoolTest, C46AnAnswerThatIsReadLateLeavesItsConnectionLessTime) {
  serve({{{{kOk}, {kOk}}}, {{{kOk}}}});
  make_pool([](ClientPoolOptions& options) { options.idle_time = milliseconds(400); });
  stall = milliseconds(500);
  EXPECT_EQ(call().body, "ok");
  run(pause(milliseconds(150)));
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(accepted, 2);  // the server has kept the first for more than the time
}

TEST_F(ClientPoolTest, C46AServerThatKeepsNothingIdleGetsANewConnection) {
  const std::string told = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\ncontent-length: 2\r\n\r\nok";
  serve({{{{told}}}, {{{told}}}});
  make_pool();
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(call().body, "ok");
  EXPECT_EQ(accepted, 2);
}

// One answered call, then another on the same connection, which the server ends without having answered it: what the
// second call came to.
struct StaleTest : ClientPoolTest {
  Ended second_call(After after, std::vector<Step> steps = {{kOk}}, SSL_CTX* server = nullptr,
                    std::shared_ptr<SSL_CTX> client = nullptr) {
    serve({{std::move(steps), after}, {{{kOk, 4}}}}, server);
    make_pool([&](ClientPoolOptions& options) {
      options.url.tls = client != nullptr;
      options.context = client;
    });
    EXPECT_EQ(call().body, "ok");
    group.spawn(end_soon(*this));
    return call("POST", {"body"});
  }
  // Long after the request was written; one that were written later would find the connection closed, and pass.
  static Task<void> end_soon(StaleTest& test) {
    co_await test.pause(milliseconds(30));
    test.end = true;
  }
};

TEST_F(StaleTest, C46AskedAgainWhereTheServerLeftWithoutAByteOfTheRequest) {
  const Ended ended = second_call(After::kDeafThenClose);
  EXPECT_EQ(ended.state, CallState::kEnded);
  EXPECT_EQ(ended.body, "ok");
  EXPECT_EQ(accepted, 2);
}

TEST_F(StaleTest, C46AlsoOverTlsWhoseOwnBytesWereAcknowledged) {
  const test::TlsFiles files;
  const auto tls =
      net::ServerTls::create({.certificate_file = files.certificate_file, .key_file = files.key_file}).value();
  const auto context = tls->context();
  const Ended ended = second_call(After::kDeafThenClose, {{kOk}}, context.get(),
                                  net::create_client_tls({.ca_file = files.ca_file}).value());
  EXPECT_EQ(ended.state, CallState::kEnded);
  EXPECT_EQ(ended.body, "ok");
  EXPECT_EQ(accepted, 2);
}

TEST_F(StaleTest, C46NeverAskedAgainAfterAReset) {
  const Ended ended = second_call(After::kDeafThenReset);
  EXPECT_EQ(ended.state, CallState::kFailed);
  EXPECT_EQ(ended.error.retry, Retry::kNo);
  EXPECT_EQ(accepted, 1);
}

TEST_F(StaleTest, C46NeverAskedAgainOnceTheRequestWasAcknowledged) {
  const Ended ended = second_call(After::kClose, {{kOk}, {"", 4}});
  EXPECT_EQ(ended.state, CallState::kFailed);
  EXPECT_EQ(ended.error.retry, Retry::kNo);
  EXPECT_EQ(accepted, 1);
}

TEST_F(ClientPoolTest, C46AskedAgainOnceAndNotForAsLongAsConnectionsGoStale) {
  serve({{{{kOk}}, After::kDeafThenClose}, {{{kOk}}, After::kDeafThenClose}, {{{""}}, After::kClose}, {{{kOk}}}});
  make_pool();
  auto both = [](ClientPoolTest& test) -> Task<void> {
    Task<Ended> first = call_to_end(test, "GET", {}, soon());
    test.group.spawn(note(test, call_to_end(test, "GET", {}, soon())));
    (void)co_await std::move(first);
    while (test.noted == 0) co_await test.pause(milliseconds(1));
  };
  run(both(*this));
  ASSERT_EQ(accepted, 2);
  end = true;
  EXPECT_EQ(call().state, CallState::kFailed);  // what a new connection says is final
  EXPECT_LE(accepted, 3);
}

TEST_F(ClientPoolTest, NamesAreLookedUp) {
  serve({{{{kOk}}}});
  make_pool([&](ClientPoolOptions& options) { options.url.host = "localhost"; });
  EXPECT_EQ(call().body, "ok");
}

}  // namespace
}  // namespace sluice::http::h1
