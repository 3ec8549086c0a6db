// The fair queue, by itself and held against a plain model of it.
#include "upstream/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <tuple>

#include "upstream/service_rate.h"

namespace sluice::upstream {
namespace {

constexpr MonoTime at(std::int64_t seconds) { return MonoTime(std::chrono::seconds(seconds)); }

FairQueue::Who who(std::uint64_t user) { return {.id = user, .tenant = {}, .user = {}}; }

class TestCall final : public FairQueue::Call {
 public:
  explicit TestCall(std::uint64_t user_id) : user(user_id) {}
  std::uint64_t user;
};

struct FairQueueTest : testing::Test {
  TestCall& come(std::uint64_t user, std::uint64_t cost = 100, QueueShare share = {}) {
    TestCall& call = calls.emplace_back(user);
    EXPECT_EQ(queue.enter(call, who(user), share, cost, bounds, now), FairQueue::Entry::kWaits);
    return call;
  }
  TestCall* next() {
    return static_cast<TestCall*>(queue.next(bounds, [](const FairQueue::Call&) { return true; }));
  }
  // The user whose call has the next turn; what it uses is what was estimated, unless `used` says otherwise.
  std::uint64_t serve(std::optional<std::uint64_t> used = {}) {
    TestCall* const call = next();
    if (call == nullptr) return 0;
    queue.serve(*call);
    running.push_back({call, used});
    return call->user;
  }
  void settle_all(std::uint64_t tokens) {
    for (const auto& [call, used] : running) queue.settle(*call, used.value_or(tokens), now);
    running.clear();
  }
  std::map<std::uint64_t, int> serve_many(int turns, std::uint64_t tokens) {
    std::map<std::uint64_t, int> of;
    for (int i = 0; i < turns; ++i) {
      ++of[serve()];
      settle_all(tokens);
    }
    return of;
  }

  QueueBounds bounds{.calls = 10'000, .calls_per_user = 10'000};
  MonoTime now = at(1'000);
  std::list<TestCall> calls;
  std::vector<std::pair<TestCall*, std::optional<std::uint64_t>>> running;
  FairQueue queue;
};

TEST_F(FairQueueTest, CallsOfOneUserHaveTheirTurnsInTheirOrder) {
  TestCall& first = come(1);
  TestCall& second = come(1);
  EXPECT_EQ(next(), &first);
  queue.serve(first);
  EXPECT_EQ(next(), &second);
}

TEST_F(FairQueueTest, WhoComesWithOneCallIsNextWhoeverHasTwoHundred) {
  for (int i = 0; i < 200; ++i) come(1);
  for (int turn = 0; turn < 7; ++turn) serve();
  come(2);
  EXPECT_EQ(serve(), 2u);
  settle_all(5'000);  // however much they used
  for (int turn = 0; turn < 7; ++turn) serve();
  settle_all(1);  // however little
  come(3, 1'000'000);
  EXPECT_EQ(serve(), 3u);
}

// As long as turns are under way, their users owe what was estimated, which may be far too much.
TEST_F(FairQueueTest, WhoComesIsNextAlsoWhenWhatWasEstimatedComesBack) {
  for (int i = 0; i < 200; ++i) come(1, 100'000);
  for (int turn = 0; turn < 4; ++turn) serve();
  come(2, 100'000);
  settle_all(1);
  EXPECT_EQ(serve(), 2u);
  come(3, 100'000);
  settle_all(1);
  EXPECT_EQ(serve(), 3u);
  settle_all(1);
  EXPECT_EQ(serve(), 1u);
}

TEST_F(FairQueueTest, UsersShareInTokensAndNotInCalls) {
  for (int i = 0; i < 200; ++i) come(1, 1'000);
  for (int i = 0; i < 200; ++i) come(2, 100);
  std::map<std::uint64_t, int> of;
  for (int turn = 0; turn < 110; ++turn) {
    const std::uint64_t user = serve();
    ++of[user];
    settle_all(user == 1 ? 1'000 : 100);
  }
  EXPECT_NEAR(of[2], 100, 3);
  EXPECT_NEAR(of[1], 10, 3);
}

TEST_F(FairQueueTest, AWeightIsAShare) {
  for (int i = 0; i < 300; ++i) come(1, 100, {.weight = 3});
  for (int i = 0; i < 300; ++i) come(2, 100, {.weight = 1});
  auto of = serve_many(200, 100);
  EXPECT_NEAR(of[1], 150, 2);
  EXPECT_NEAR(of[2], 50, 2);
}

TEST_F(FairQueueTest, WhatATurnUsedBeyondItsEstimateIsPaidLater) {
  for (int i = 0; i < 50; ++i) come(1);
  for (int i = 0; i < 50; ++i) come(2);
  ASSERT_EQ(serve(1'100), 1u);  // ten turns more than was estimated
  settle_all(0);
  for (int turn = 0; turn < 10; ++turn) {
    EXPECT_EQ(serve(), 2u) << turn;
    settle_all(100);
  }
  auto of = serve_many(20, 100);
  EXPECT_NEAR(of[1], 10, 1);
}

TEST_F(FairQueueTest, APriorityGoesFirstAndYetNobodyWaitsForEver) {
  for (int i = 0; i < 100; ++i) come(1, 100, {.priority = Priority::kHigh});
  for (int i = 0; i < 100; ++i) come(2, 100, {.priority = Priority::kNormal});
  for (int i = 0; i < 100; ++i) come(3, 100, {.priority = Priority::kLow});
  auto of = serve_many(74, 100);
  EXPECT_EQ(of[2], 4);
  EXPECT_EQ(of[3], 4);
  EXPECT_EQ(of[1], 66);
}

TEST_F(FairQueueTest, IsBoundedForAUserAndForAll) {
  bounds = {.calls = 5, .calls_per_user = 3};
  for (int i = 0; i < 3; ++i) come(1);
  TestCall more(1), other(2), last(3);
  EXPECT_EQ(queue.enter(more, who(1), {}, 1, bounds, now), FairQueue::Entry::kUserFull);
  come(2);
  come(3);
  EXPECT_EQ(queue.enter(other, who(2), {}, 1, bounds, now), FairQueue::Entry::kFull);
  queue.leave(calls.front(), now);
  EXPECT_EQ(queue.enter(last, who(3), {}, 1, bounds, now), FairQueue::Entry::kWaits);
  queue.leave(last, now);
}

TEST_F(FairQueueTest, ATurnThatFoundNothingIsTheNextAgain) {
  TestCall& first = come(1);
  come(1);
  come(2);
  queue.serve(first);
  queue.put_back(first);
  EXPECT_EQ(next(), &first);
  EXPECT_EQ(queue.waiting(), 3u);
  EXPECT_EQ(serve(), 1u);
  EXPECT_EQ(serve(), 2u);
}

TEST_F(FairQueueTest, WhoCannotUseASlotLetsOthersPass) {
  come(1);
  TestCall& second = come(2);
  EXPECT_EQ(
      queue.next(bounds, [](const FairQueue::Call& call) { return static_cast<const TestCall&>(call).user == 2; }),
      &second);
  EXPECT_EQ(queue.next(bounds, [](const FairQueue::Call&) { return false; }), nullptr);
}

TEST_F(FairQueueTest, WhoOwesIsRememberedForAWhileAndThenForgotten) {
  come(1, 1'000);
  serve(1'000);
  settle_all(0);
  come(2, 1);
  come(1, 1);
  EXPECT_EQ(serve(), 2u) << "the other has had a turn just now";
  serve();
  settle_all(1);
  now += std::chrono::seconds(59);
  queue.forget(bounds, now);
  EXPECT_FALSE(queue.knows_nobody());
  now += std::chrono::seconds(2);
  queue.forget(bounds, now);
  EXPECT_TRUE(queue.knows_nobody());
}

TEST_F(FairQueueTest, WhoOwesIsNotForgottenWhileOthersWait) {
  come(1, 1'000);
  for (int i = 0; i < 20; ++i) come(2, 10);
  serve();
  settle_all(1'000);
  now += std::chrono::hours(1);
  come(1, 10);
  for (int turn = 0; turn < 20; ++turn) ASSERT_EQ(serve(), 2u) << turn;
}

TEST_F(FairQueueTest, UsersThatAreGoneAreNotRememberedWithoutBound) {
  bounds.calls = 100;
  for (std::uint64_t user = 1; user <= 1'000; ++user) {
    come(user);
    serve();
    settle_all(100);
  }
  queue.forget(bounds, now);
  EXPECT_LE(queue.users(now).size(), 101u);
}

TEST_F(FairQueueTest, TellsHowManyAreBeforeACall) {
  for (int i = 0; i < 50; ++i) come(1);
  for (int i = 0; i < 5; ++i) serve();
  TestCall& second = come(2);
  EXPECT_EQ(queue.ahead_of(second), 0u);
  TestCall& third = come(2);
  EXPECT_LE(queue.ahead_of(third), 3u);
  TestCall& last = come(1);
  EXPECT_EQ(queue.ahead_of(last), 47u);
  come(3, 100, {.priority = Priority::kHigh});
  EXPECT_EQ(queue.ahead_of(second), 1u);
}

// The same rules written down without any structure: every question goes through all users and all calls.
class PlainQueue {
 public:
  struct User {
    std::int64_t settled = 0, pending = 0;
    std::uint64_t served = 0, came = 0;
    std::deque<TestCall*> calls;
    std::tuple<std::int64_t, std::uint64_t, std::uint64_t> order() const { return {settled + pending, served, came}; }
  };
  struct Paid {
    std::int64_t rounds = 0;
    std::uint64_t served_before = 0;
  };

  void enter(TestCall& call, std::uint64_t cost) {
    User& user = users[call.user];
    if (user.calls.empty()) {
      std::optional<std::int64_t> least_settled;
      for (const auto& [id, other] : users) {
        if (!other.calls.empty()) least_settled = std::min(least_settled.value_or(other.settled), other.settled);
      }
      user.settled = std::max(user.settled, least_settled.value_or(last_served));
      user.came = ++count;
    }
    user.calls.push_back(&call);
    costs[&call] = cost;
  }
  TestCall* next() {
    const User* const first = least();
    return first == nullptr ? nullptr : first->calls.front();
  }
  void serve(TestCall& call) {
    User& user = users[call.user];
    last_served = user.settled;
    std::erase(user.calls, &call);
    paid[&call] = {static_cast<std::int64_t>(costs[&call] * 1'024), user.served};
    user.served = ++count;
    user.pending += paid[&call].rounds;
  }
  void settle(TestCall& call, std::uint64_t tokens) {
    users[call.user].pending -= paid[&call].rounds;
    users[call.user].settled += static_cast<std::int64_t>(std::max<std::uint64_t>(tokens, 1) * 1'024);
  }
  void put_back(TestCall& call) {
    User& user = users[call.user];
    user.pending -= paid[&call].rounds;
    user.served = std::min(user.served, paid[&call].served_before);
    user.calls.push_front(&call);
  }
  void leave(TestCall& call) { std::erase(users[call.user].calls, &call); }

 private:
  const User* least() const {
    const User* first = nullptr;
    for (const auto& [id, user] : users) {
      if (user.calls.empty()) continue;
      if (first == nullptr || user.order() < first->order()) first = &user;
    }
    return first;
  }
  std::map<std::uint64_t, User> users;
  std::map<const TestCall*, std::uint64_t> costs;
  std::map<const TestCall*, Paid> paid;
  std::int64_t last_served = 0;
  std::uint64_t count = 0;
};

// Calls come, leave, have turns, are put back and settled as the dice fall. Both say the same of each turn, every call
// that came has either left or had its turn, and none waited longer than its user's share explains.
class AgainstPlain : public testing::TestWithParam<unsigned> {};

TEST_P(AgainstPlain, EveryTurnIsTheSameAndNoCallIsLost) {
  std::mt19937 dice(GetParam());
  const auto roll = [&](std::uint32_t sides) { return dice() % sides; };
  QueueBounds bounds{.calls = 10'000, .calls_per_user = 10'000, .memory = std::chrono::hours(1'000)};
  FairQueue queue;
  PlainQueue plain;
  std::list<TestCall> all;
  std::vector<TestCall*> waiting, running;
  const auto any = [](const FairQueue::Call&) { return true; };
  const auto pick = [&](std::vector<TestCall*>& from) {
    const std::size_t index = roll(static_cast<std::uint32_t>(from.size()));
    TestCall* const call = from[index];
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(index));
    return call;
  };
  std::size_t came = 0, left = 0, settled = 0;
  for (int step = 0; step < 20'000 || !waiting.empty() || !running.empty(); ++step) {
    const bool closing = step >= 20'000;
    const MonoTime now = at(step);
    const std::uint32_t what = roll(10);
    if (what < 4 && !closing) {
      TestCall& call = all.emplace_back(1 + roll(7) * roll(7));  // some users come often
      const std::uint64_t cost = 1 + roll(5'000);
      ASSERT_EQ(queue.enter(call, who(call.user), {}, cost, bounds, now), FairQueue::Entry::kWaits);
      plain.enter(call, cost);
      waiting.push_back(&call);
      ++came;
    } else if (what < 7 && !waiting.empty()) {
      auto* const next = static_cast<TestCall*>(queue.next(bounds, any));
      ASSERT_EQ(next, plain.next()) << "step " << step;
      queue.serve(*next);
      plain.serve(*next);
      std::erase(waiting, next);
      if (roll(8) == 0) {
        queue.put_back(*next);
        plain.put_back(*next);
        waiting.push_back(next);
      } else {
        running.push_back(next);
      }
    } else if (what == 7 && !waiting.empty()) {
      TestCall* const call = pick(waiting);
      queue.leave(*call, now);
      plain.leave(*call);
      ++left;
    } else if (what > 7 && !running.empty()) {
      TestCall* const call = pick(running);
      const std::uint64_t tokens = roll(10'000);
      queue.settle(*call, tokens, now);
      plain.settle(*call, tokens);
      ++settled;
    }
    ASSERT_EQ(queue.waiting(), waiting.size());
  }
  EXPECT_EQ(came, left + settled);
  EXPECT_EQ(queue.next(bounds, any), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Seeds, AgainstPlain, testing::Values(1u, 2u, 3u, 4u, 5u));

// With users who are always back at once, the longest wait is bounded by how many they are.
TEST_F(FairQueueTest, NobodyWaitsLongerThanOneRoundOfTheOthers) {
  std::mt19937 dice(7);
  constexpr std::uint64_t kUsers = 30;
  std::map<std::uint64_t, int> last;
  for (std::uint64_t user = 1; user <= kUsers; ++user) come(user);
  for (int turn = 0; turn < 3'000; ++turn) {
    const std::uint64_t user = serve();
    settle_all(100);
    EXPECT_LE(turn - last[user], static_cast<int>(kUsers) + 1) << "user " << user;
    last[user] = turn;
    come(user);
    if (dice() % 3 == 0) come(1 + dice() % kUsers);
  }
}

TEST(ServiceRate, IsTheTimeFromTurnToTurnWhileCallsWait) {
  using std::chrono::seconds;
  ServiceRate rate;
  EXPECT_FALSE(rate.interval(at(0)));
  rate.begin(at(0));
  EXPECT_FALSE(rate.interval(at(1)));
  for (int turn = 1; turn <= 40; ++turn) rate.note_turn(at(turn * 3));
  EXPECT_EQ(rate.interval(at(120)), seconds(3));
  EXPECT_GT(rate.interval(at(1'000)), seconds(30)) << "a standstill";
  rate.end(at(120));
  EXPECT_EQ(rate.interval(at(500)), seconds(3));
  rate.begin(at(500));
  EXPECT_EQ(rate.interval(at(501)), seconds(3)) << "what was measured before, until something is measured";
  rate.note_turn(at(510));
  EXPECT_EQ(rate.interval(at(510)), seconds(10));
}

}  // namespace
}  // namespace sluice::upstream
