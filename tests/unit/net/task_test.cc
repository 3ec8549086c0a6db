// Tasks: what a coroutine may rely on.
#include "base/task.h"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <memory>
#include <stdexcept>
#include <string>

#include "net/signal.h"
#include "support/loop_runner.h"

namespace sluice {
namespace {

class TaskTest : public test::LoopTest {};

Task<int> seven() { co_return 7; }
Task<std::unique_ptr<int>> boxed() { co_return std::make_unique<int>(co_await seven()); }
Task<int> fails() {
  throw std::runtime_error("as it must");
  co_return 0;
}

TEST_F(TaskTest, GivesWhatItReturnsAlsoWhereThatCannotBeCopied) { EXPECT_EQ(*run(boxed()), 7); }

Task<std::string> what_reaches_the_caller() {
  try {
    (void)co_await fails();
  } catch (const std::runtime_error& fault) {
    co_return fault.what();
  }
  co_return "nothing";
}
TEST_F(TaskTest, ThrowsWhereItIsAwaited) { EXPECT_EQ(run(what_reaches_the_caller()), "as it must"); }

Task<int> sum_of(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await seven();
  co_return sum;
}
TEST_F(TaskTest, ALoopOverTasksThatNeverWaitNeedsNoDeeperStack) { EXPECT_EQ(run(sum_of(1'000'000)), 7'000'000); }

Task<int> at_depth(int depth, net::Signal& signal) {
  if (depth == 0) {
    (void)co_await signal.wait();
    co_return 0;
  }
  co_return 1 + co_await at_depth(depth - 1, signal);
}
Task<void> notify(net::Signal& signal) {
  signal.notify();
  co_return;
}
TEST_F(TaskTest, GoesOnThroughEveryTaskThatAwaitsTheOneThatSlept) {
  net::Signal signal(loop);
  group.spawn(notify(signal));
  EXPECT_EQ(run(at_depth(100, signal)), 100);
}

struct Counted {
  explicit Counted(int& alive_) : alive(alive_) { ++alive; }
  ~Counted() { --alive; }
  int& alive;
};
Task<void> holds(int& alive, bool& ended_first) {
  const Counted counted(alive);
  ended_first = false;
  co_return;
}
TEST_F(TaskTest, HasLetGoOfAllThatItHeldWhenItsGroupIsIdle) {
  int alive = 0;
  bool ended_first = true;
  int alive_when_idle = -1;
  group.spawn(holds(alive, ended_first));
  group.when_idle([&] { alive_when_idle = alive; });
  drain();
  poll();
  EXPECT_FALSE(ended_first);
  EXPECT_EQ(alive_when_idle, 0);
}

TEST_F(TaskTest, BeginsOnlyWhenItIsAwaited) {
  int alive = 0;
  bool untouched = true;
  { const Task<void> never = holds(alive, untouched); }
  EXPECT_TRUE(untouched);
}

Task<int> after_a_post(net::Loop& loop) {
  co_await asio::post(loop.io(), use_task);
  co_return co_await seven();
}
TEST_F(TaskTest, AwaitsAnOperationOfAsio) { EXPECT_EQ(run(after_a_post(loop)), 7); }

}  // namespace
}  // namespace sluice
