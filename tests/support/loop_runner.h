// What tests of asynchronous code need: a loop that runs one task to its end, and connected pairs of streams.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "net/loop.h"
#include "net/stream.h"
#include "net/task_group.h"

namespace sluice::test {

// A fixture with a loop and a task group; run() drives the loop until a task has ended.
//   class MyTest : public test::LoopTest {};
//   TEST_F(MyTest, Reads) { run(reads(*this)); }
class LoopTest : public ::testing::Test {
 public:  // for the coroutines of a test, which are functions of their own
  LoopTest() { std::signal(SIGPIPE, SIG_IGN); }
  void TearDown() override { drain(); }  // before the members of the test go away

  // Runs `task` and everything it waits for. Fails the test, and gives up, after `limit`.
  template <class T>
  T run(Task<T> task, std::chrono::seconds limit = std::chrono::seconds(20)) {
    std::optional<T> result;
    drive(store(std::move(task), result), limit);
    if (!result) throw std::runtime_error("the task did not end in time");
    return *std::move(result);
  }
  void run(Task<void> task, std::chrono::seconds limit = std::chrono::seconds(20)) { drive(std::move(task), limit); }

  // Runs what is ready on the loop, without waiting for anything new.
  void poll() {
    loop.io().restart();
    loop.io().poll();
  }

  // Runs the loop until the group is empty.
  void drain() {
    const auto limit = Mono::now() + std::chrono::seconds(20);
    while (group.running() != 0 && Mono::now() < limit) {
      loop.io().restart();
      loop.io().run_one_for(std::chrono::milliseconds(50));
    }
    poll();
  }

  net::Loop loop;
  net::TaskGroup group{loop, [](const char* what) { ADD_FAILURE() << "a task threw: " << what; }};

 private:
  template <class T>
  static Task<void> store(Task<T> task, std::optional<T>& into) {
    into.emplace(co_await std::move(task));
  }
  static Task<void> mark(Task<void> task, bool& ended) {
    co_await std::move(task);
    ended = true;
  }
  void drive(Task<void> task, std::chrono::seconds limit) {
    bool ended = false;
    group.spawn(mark(std::move(task), ended));
    const auto until = Mono::now() + limit;
    while (!ended && Mono::now() < until) {
      loop.io().restart();
      loop.io().run_one_for(std::chrono::milliseconds(50));
    }
    EXPECT_TRUE(ended) << "the task did not end in time";
  }
};

// Two connected plain streams on one loop, over the loopback interface.
struct StreamPair {
  std::unique_ptr<net::Stream> client;
  std::unique_ptr<net::Stream> server;
};
inline StreamPair connected_pair(net::Loop& loop) {
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor(loop.executor(),
                                                                net::Endpoint(asio::ip::address_v4::loopback(), 0));
  net::Socket client(loop.executor());
  client.connect(acceptor.local_endpoint());
  net::Socket server = acceptor.accept();
  return {std::make_unique<net::Stream>(loop, std::move(client)),
          std::make_unique<net::Stream>(loop, std::move(server))};
}

}  // namespace sluice::test
