#include "net/readiness.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/loop.h"

namespace sluice::net {
namespace {

using namespace std::chrono_literals;

// A pair of sockets, of which one is watched.
class WatchedPair final : public Readiness::Watched {
 public:
  explicit WatchedPair(Readiness& readiness) : readiness_(readiness) {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds_.data()), 0);
    EXPECT_TRUE(readiness_.add(fds_[0], *this));
  }
  ~WatchedPair() {
    readiness_.remove(fds_[0], *this);
    ::close(fds_[0]);
    end_peer();
  }
  void became_ready(Readiness::Edge edge) noexcept override {
    edges.push_back(edge);
    if (then) then();
  }
  void peer_sends() { EXPECT_EQ(::send(fds_[1], "x", 1, MSG_NOSIGNAL), 1); }
  void end_peer() { ::close(std::exchange(fds_[1], -1)); }
  void read() {
    char byte = 0;
    EXPECT_EQ(::recv(fds_[0], &byte, 1, 0), 1);
  }

  std::vector<Readiness::Edge> edges;
  std::function<void()> then;

 private:
  Readiness& readiness_;
  std::array<int, 2> fds_{-1, -1};
};

class ReadinessTest : public ::testing::Test {
 protected:
  void run_until(const std::function<bool()>& done) {
    for (const MonoTime limit = Mono::now() + 20s; !done() && Mono::now() < limit;) {
      loop.io().restart();
      loop.io().run_one_for(50ms);
    }
    EXPECT_TRUE(done());
  }

  Loop loop;
  Readiness& readiness = loop.readiness();
};

TEST_F(ReadinessTest, WhatCameBeforeAnybodyWaitedIsTold) {
  WatchedPair pair(readiness);
  pair.peer_sends();
  readiness.expect();
  run_until([&] { return !pair.edges.empty(); });
  EXPECT_TRUE(pair.edges.front().readable);
  EXPECT_FALSE(pair.edges.front().ended);
  readiness.forget();
}

TEST_F(ReadinessTest, AnEndBehindBytesThatNobodyHasReadIsTold) {
  WatchedPair pair(readiness);
  pair.peer_sends();
  pair.end_peer();
  readiness.expect();
  run_until([&] { return !pair.edges.empty(); });
  EXPECT_TRUE(pair.edges.front().readable);
  EXPECT_TRUE(pair.edges.front().ended);
  readiness.forget();
}

TEST_F(ReadinessTest, NothingIsToldTwiceAndWhatWasReadNotAtAll) {
  WatchedPair pair(readiness);
  readiness.expect();
  run_until([&] { return pair.edges.size() == 1; });  // that it can be written
  pair.peer_sends();
  pair.read();
  WatchedPair other(readiness);
  other.peer_sends();
  run_until([&] { return !other.edges.empty(); });
  for (std::size_t i = 1; i < pair.edges.size(); ++i) EXPECT_FALSE(pair.edges[i].readable);
  readiness.forget();
}

// The loop of a program ends with its last wait.
TEST_F(ReadinessTest, TheLoopEndsWhereNobodyWaits) {
  WatchedPair pair(readiness);
  readiness.expect();
  loop.io().poll();
  EXPECT_FALSE(loop.io().stopped());
  readiness.forget();
  loop.io().restart();
  loop.io().run();
  readiness.expect();  // and begins again
  pair.edges.clear();
  pair.peer_sends();
  run_until([&] { return !pair.edges.empty(); });
  readiness.forget();
}

TEST_F(ReadinessTest, OneThatIsRemovedByAnotherInTheSameTurnHearsNothing) {
  auto first = std::make_unique<WatchedPair>(readiness);
  auto second = std::make_unique<WatchedPair>(readiness);
  int told = 0;
  first->then = [&] { ++told, second.reset(); };
  second->then = [&] { ++told, first.reset(); };
  readiness.expect();
  run_until([&] { return told != 0; });
  loop.io().poll();
  EXPECT_EQ(told, 1);
  readiness.forget();
}

// As many as are collected at once, each taking long: what else is ready has its turn between them.
TEST_F(ReadinessTest, ManyThatTakeLongGiveWay) {
  std::vector<std::unique_ptr<WatchedPair>> pairs;
  std::size_t told = 0;
  std::size_t before = 0;
  bool posted = false;
  for (int i = 0; i < 100; ++i) {
    pairs.push_back(std::make_unique<WatchedPair>(readiness));
    pairs.back()->then = [&] {
      if (told++ == 0) loop.post([&] { before = told, posted = true; });
      for (const MonoTime until = Mono::now() + 200us; Mono::now() < until;) {
      }
    };
  }
  readiness.expect();
  run_until([&] { return posted && told >= 100; });
  EXPECT_LT(before, 100u);
  readiness.forget();
}

}  // namespace
}  // namespace sluice::net
