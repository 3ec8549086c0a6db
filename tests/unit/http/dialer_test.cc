// Names that lead to several addresses, of which some are dead, and name servers that are slow, or changed their mind.
#include "http/dialer.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <deque>

#include "support/loop_runner.h"
#include "support/soon.h"

namespace sluice::http {
namespace {

using std::chrono::milliseconds;
using test::soon;

// Accepts, and says nothing.
class Listening final {
 public:
  Listening(net::Loop& loop, const char* address, std::uint16_t port = 0)
      : acceptor_(loop.executor(), net::Endpoint(asio::ip::make_address(address), port)) {}
  [[nodiscard]] net::Endpoint endpoint() const { return acceptor_.local_endpoint(); }
  // How many connections have come since the last time.
  std::size_t take() {
    std::size_t count = 0;
    acceptor_.non_blocking(true);
    boost::system::error_code ec;
    for (;; ++count) {
      net::Socket socket = acceptor_.accept(ec);
      if (ec) return count;
    }
  }

 private:
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor_;
};

// Takes no connection and refuses none, as an address does behind which packets are dropped: its queue is full.
class Silent final {
 public:
  explicit Silent(net::Loop& loop) : acceptor_(loop.executor(), asio::ip::tcp::v4()), fillers_{} {
    acceptor_.bind(net::Endpoint(asio::ip::make_address("127.0.0.1"), 0));
    acceptor_.listen(0);
    for (int i = 0; i < 4; ++i) {
      fillers_.emplace_back(loop.executor());
      fillers_.back().open(asio::ip::tcp::v4());
      fillers_.back().non_blocking(true);
      const net::Endpoint to = endpoint();
      (void)::connect(fillers_.back().native_handle(), to.data(), static_cast<socklen_t>(to.size()));  // goes on
    }
  }
  [[nodiscard]] net::Endpoint endpoint() const { return acceptor_.local_endpoint(); }

 private:
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor_;
  std::deque<net::Socket> fillers_;
};

struct DialerTest : test::LoopTest {
  void SetUp() override {
    try {
      const Listening any(loop, "::1");
    } catch (const boost::system::system_error&) {
      GTEST_SKIP() << "this machine has no IPv6";
    }
  }
  void TearDown() override {
    answers_come = true;
    come.notify();
    LoopTest::TearDown();
  }

  Dialer& dialer(milliseconds interval = std::chrono::seconds(30)) {
    DialOptions options;
    options.url = parse_base_url("http://server.test").value();
    options.connect_time = milliseconds(2'000);
    options.resolve_interval = interval;
    options.look_up = [this](const std::string& host, std::uint16_t) { return answer(*this, host); };
    made.emplace(loop, group, options);
    return *made;
  }
  // What the name server says now, once it says anything.
  static Task<Result<std::vector<net::Endpoint>>> answer(DialerTest& test, std::string host) {
    EXPECT_EQ(host, "server.test");
    ++test.asked;
    while (!test.answers_come) co_await test.come.wait();
    if (test.known.empty()) co_return upstream_error(ErrorKind::kConnect, "no such host");
    co_return test.known;
  }
  // The address that a connection leads to. Nothing: there was none.
  std::optional<net::Endpoint> dial() {
    const MonoTime began = Mono::now();
    const Result<std::unique_ptr<net::Stream>> stream = run(made->dial());
    took = std::chrono::duration_cast<milliseconds>(Mono::now() - began);
    if (!stream) {
      error = stream.error();
      return std::nullopt;
    }
    return (*stream)->peer();
  }
  static Task<void> sleep(net::Loop& loop, milliseconds time) {
    net::Signal never(loop);
    (void)co_await never.wait(net::Deadline::after(time));
  }

  std::vector<net::Endpoint> known;
  std::size_t asked = 0;
  bool answers_come = true;
  net::Signal come{loop};
  std::optional<Dialer> made;
  milliseconds took{};
  Error error;
};

TEST_F(DialerTest, AnAddressThatRefusesIsLeftForTheNextAtOnceAndStandsLastAfterwards) {
  Listening there(loop, "::1");
  const net::Endpoint dead(asio::ip::make_address("127.0.0.1"), there.endpoint().port());
  known = {dead, there.endpoint()};
  dialer();
  EXPECT_EQ(dial(), there.endpoint());
  EXPECT_LT(took, milliseconds(1'500));
  Listening now(loop, "127.0.0.1", dead.port());
  EXPECT_EQ(dial(), there.endpoint()) << "the one that was dead is not the first that is asked";
  EXPECT_EQ(now.take(), 0U);
}

TEST_F(DialerTest, ASilentAddressIsOvertaken) {
  const Silent silent(loop);
  Listening there(loop, "::1");
  known = {silent.endpoint(), there.endpoint()};
  dialer();
  EXPECT_EQ(dial(), there.endpoint());
  EXPECT_GE(took, milliseconds(200));
  EXPECT_LT(took, milliseconds(1'500));
  milliseconds quickest = took;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(dial(), there.endpoint());
    quickest = std::min(quickest, took);
  }
  EXPECT_LT(quickest, milliseconds(200)) << "it is not the first again";
}

TEST_F(DialerTest, TheFamiliesTakeTurns) {
  const Silent first(loop);
  Listening second(loop, "127.0.0.1"), other(loop, "::1");
  known = {first.endpoint(), second.endpoint(), other.endpoint()};
  dialer();
  EXPECT_EQ(dial(), other.endpoint());
}

TEST_F(DialerTest, WhereEveryAddressRefusesTheErrorSaysSo) {
  Listening gone(loop, "127.0.0.1");
  const net::Endpoint dead(asio::ip::make_address("127.0.0.2"), gone.endpoint().port());
  known = {dead, net::Endpoint(asio::ip::make_address("::1"), dead.port())};
  dialer();
  EXPECT_FALSE(dial());
  EXPECT_EQ(error.kind, ErrorKind::kConnect);
  EXPECT_EQ(error.retry, Retry::kYes);
  EXPECT_EQ(error.os_code, ECONNREFUSED);
}

TEST_F(DialerTest, SilentAddressesTakeConnectTimeTogether) {
  const Silent one(loop), two(loop);
  known = {one.endpoint(), two.endpoint()};
  dialer();
  EXPECT_FALSE(dial());
  EXPECT_EQ(error.os_code, ETIMEDOUT);
  EXPECT_LT(took, milliseconds(3'000));
}

TEST_F(DialerTest, ANameIsLookedUpAgainAfterItsIntervalAndNobodyWaitsForThat) {
  Listening before(loop, "127.0.0.1"), after(loop, "127.0.0.1");
  known = {before.endpoint()};
  dialer(milliseconds(50));
  EXPECT_EQ(dial(), before.endpoint());
  EXPECT_EQ(dial(), before.endpoint());
  EXPECT_EQ(asked, 1U);
  run(sleep(loop, milliseconds(60)));
  known = {after.endpoint()};
  answers_come = false;  // the name server hangs
  EXPECT_EQ(dial(), before.endpoint());
  EXPECT_LT(took, milliseconds(500));
  EXPECT_EQ(asked, 2U);
  answers_come = true;
  come.notify();
  run(sleep(loop, milliseconds(20)));
  EXPECT_EQ(dial(), after.endpoint());
}

TEST_F(DialerTest, TheLastAddressesServeWhileTheNameServerKnowsNone) {
  Listening there(loop, "127.0.0.1");
  known = {there.endpoint()};
  dialer(milliseconds(20));
  EXPECT_EQ(dial(), there.endpoint());
  known.clear();
  run(sleep(loop, milliseconds(30)));
  EXPECT_EQ(dial(), there.endpoint());
  run(sleep(loop, milliseconds(30)));
  EXPECT_EQ(dial(), there.endpoint());
  EXPECT_EQ(asked, 2U) << "a second's pause follows a failure";
}

TEST_F(DialerTest, ANameThatNobodyKnowsIsAnErrorAfterConnectTime) {
  answers_come = false;
  dialer();
  EXPECT_FALSE(dial());
  EXPECT_EQ(error.kind, ErrorKind::kConnect);
  EXPECT_GE(took, milliseconds(1'500));
}

}  // namespace
}  // namespace sluice::http
