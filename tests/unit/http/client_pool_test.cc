// Calls and their answers, whatever the server does.
#include "unit/http/client_pool_fixture.h"

namespace sluice::http::h1 {
namespace {

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
  run(pause(milliseconds(100)));  // for those whose connection is not there yet
  for (const MonoTime limit = Mono::now() + std::chrono::seconds(20); client_left != accepted && Mono::now() < limit;)
    run(pause(milliseconds(1)));
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

TEST_F(ClientPoolTest, NamesAreLookedUp) {
  serve({{{{kOk}}}});
  make_pool([&](ClientPoolOptions& options) { options.url.host = "localhost"; });
  EXPECT_EQ(call().body, "ok");
}

}  // namespace
}  // namespace sluice::http::h1
