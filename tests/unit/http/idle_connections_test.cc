// Connections between two calls: how long they are kept, and what becomes of a call on one that the server ended.
#include "unit/http/client_pool_fixture.h"

namespace sluice::http::h1 {
namespace {

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

}  // namespace
}  // namespace sluice::http::h1
