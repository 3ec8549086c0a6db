// A server whose every byte a test decides, and the pool that calls it.
#pragma once

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <sys/socket.h>

#include <deque>
#include <thread>

#include "http/h1/client_pool.h"
#include "net/tls_context.h"
#include "support/loop_runner.h"
#include "support/soon.h"
#include "support/tls_files.h"

namespace sluice::http::h1 {

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

inline const std::string kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

}  // namespace sluice::http::h1
