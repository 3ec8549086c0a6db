// Calls of several workers that wait for the slots of one model.
#include "upstream/queue_home.h"

#include <gtest/gtest.h>

#include <map>

#include "net/task_group.h"
#include "upstream/queued.h"

namespace sluice::upstream {
namespace {

// A place with slots that it shares with those of other workers, and nothing behind it.
class SlotPlace final : public Place {
 public:
  SlotPlace(std::string name, std::shared_ptr<Slots> slots) : name_(std::move(name)), slots_(std::move(slots)) {}
  std::string_view name() const noexcept override { return name_; }
  const char* kind() const noexcept override { return "upstream"; }
  CallTimes times() const noexcept override { return {}; }
  bool reachable() const noexcept override { return up; }
  std::int64_t slots() const noexcept override { return slots_->count(); }
  bool serves(std::uint64_t tenant_id) const noexcept override { return only_for == 0 || only_for == tenant_id; }
  std::int64_t free_slots() const noexcept override { return slots_->free(); }
  bool take_slot() noexcept override { return slots_->take(); }
  void free_slot() noexcept override { slots_->give(); }
  bool takes(std::uint32_t endpoint) const noexcept override { return endpoint != takes_not; }
  std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest&, net::Signal&) noexcept override {
    return nullptr;
  }
  bool up = true;
  std::uint64_t only_for = 0;
  std::uint32_t takes_not = 99;

 private:
  std::string name_;
  std::shared_ptr<Slots> slots_;
};

// Workers that all run on this thread, one after the other, each with a place of its own for the same slots.
struct QueueHomeTest : testing::Test {
  struct OneWorker {
    explicit OneWorker(unsigned index, std::shared_ptr<Slots> slots)
        : loop(index), pool(loop), place(std::make_shared<SlotPlace>("direct", std::move(slots))) {}
    net::Loop loop;
    Pool pool;
    std::shared_ptr<SlotPlace> place;
  };
  struct OneCall {
    OneCall(OneWorker& on, std::uint64_t user, Wanted wanted = {.model = "m"}, std::uint64_t estimate = 100,
            std::chrono::seconds most_wait = std::chrono::seconds(30))
        : worker(on),
          user(user),
          wanted(wanted),
          wake(on.loop),
          queued(std::in_place, on.pool, wanted,
                 QueueTerms{.who = {.id = user, .tenant = {}, .user = {}},
                            .share = {},
                            .estimate = estimate,
                            .most_wait = most_wait},
                 wake) {}
    [[nodiscard]] bool has_turn() const { return queued && queued->state() == Turn::State::kGiven; }
    // As the exchange does with its turn.
    bool take() {
      const Supply supply = worker.pool.take(wanted, {}, lease);
      if (supply != Supply::kTaken) {
        queued->miss();
        return false;
      }
      turn = queued->take();
      queued.reset();
      return true;
    }
    void end(std::uint64_t tokens = 100) {
      worker.pool.settle(std::move(turn), tokens);
      lease.release();
    }
    OneWorker& worker;
    std::uint64_t user;
    Wanted wanted;
    net::Signal wake;
    std::optional<Queued> queued;
    Lease lease;
    std::shared_ptr<Turn> turn;
  };

  QueueHomeTest() {
    for (unsigned i = 0; i < 3; ++i) workers.emplace_back(i, slots);
    std::vector<Pool*> pools;
    for (OneWorker& worker : workers) pools.push_back(&worker.pool);
    for (OneWorker& worker : workers) {
      worker.pool.set_siblings(pools);
      worker.pool.set_upstreams({worker.place});
    }
    know({"m"});
  }
  void know(const std::vector<std::string>& names) {
    auto models = std::make_shared<Models>();
    for (const std::string& name : names) models->known[name].everyone = true, models->known[name].upstreams = {0};
    for (OneWorker& worker : workers) worker.pool.set_models(models);
    run();
  }
  OneWorker& on(std::size_t index) { return *std::next(workers.begin(), static_cast<std::ptrdiff_t>(index % 3)); }
  // Until nobody has anything to say any more.
  void run() {
    for (std::size_t did = 1; did != 0;) {
      did = 0;
      for (OneWorker& worker : workers) {
        worker.loop.io().restart();
        did += worker.loop.io().poll();
      }
    }
  }
  Lease hold(std::size_t worker) {
    Lease lease;
    EXPECT_EQ(on(worker).pool.come({"m"}, {}, lease), Supply::kTaken);
    return lease;
  }

  std::shared_ptr<Slots> slots = std::make_shared<Slots>(1);
  std::list<OneWorker> workers;
};

TEST_F(QueueHomeTest, AFreedSlotGoesToWhoWaitsOnWhicheverWorker) {
  for (std::size_t holder = 0; holder < 3; ++holder) {
    for (std::size_t waiter = 0; waiter < 3; ++waiter) {
      Lease lease = hold(holder);
      OneCall call(on(waiter), 1);
      run();
      EXPECT_FALSE(call.has_turn());
      lease.release();
      run();
      ASSERT_TRUE(call.has_turn()) << holder << " " << waiter;
      ASSERT_TRUE(call.take());
      call.end();
      run();
      EXPECT_EQ(slots->free(), 1);
    }
  }
}

TEST_F(QueueHomeTest, WhileSomebodyWaitsNewcomersOfAllWorkersFindNoSlotFree) {
  Lease lease = hold(0);
  OneCall call(on(1), 1);
  run();
  lease.release();  // nobody has told the waiting call yet
  for (std::size_t worker = 0; worker < 3; ++worker) {
    Lease none;
    EXPECT_EQ(on(worker).pool.come({"m"}, {}, none), Supply::kFull) << worker;
  }
  run();
  ASSERT_TRUE(call.has_turn());
  ASSERT_TRUE(call.take());
  call.end();
  Lease again;
  EXPECT_EQ(on(2).pool.come({"m"}, {}, again), Supply::kTaken);
}

TEST_F(QueueHomeTest, TurnsAreFairOverAllWorkers) {
  Lease lease = hold(0);
  std::list<OneCall> calls;
  for (std::size_t i = 0; i < 20; ++i) calls.emplace_back(on(i), 1);
  run();
  OneCall& other = calls.emplace_back(on(1), 2);
  lease.release();
  run();
  // The first was chosen among those of user 1 and 2, who both have had nothing.
  std::map<std::uint64_t, int> turns;
  for (int turn = 0; turn < 2; ++turn) {
    for (OneCall& call : calls) {
      if (!call.has_turn()) continue;
      ASSERT_TRUE(call.take());
      ++turns[call.user];
      run();
      call.end();
      break;
    }
    run();
  }
  EXPECT_EQ(turns[1], 1);
  EXPECT_EQ(turns[2], 1);
  EXPECT_FALSE(other.queued.has_value());
}

TEST_F(QueueHomeTest, WhoLeavesIsGoneAtOnceAndItsTurnIsAnothers) {
  Lease lease = hold(0);
  std::optional<OneCall> first(std::in_place, on(0), 1);
  OneCall second(on(1), 2);
  std::optional<OneCall> third(std::in_place, on(2), 3);
  run();
  first.reset();
  lease.release();
  run();
  ASSERT_TRUE(second.has_turn());
  EXPECT_FALSE(third->has_turn());
  second.queued.reset();  // with the turn that it has
  run();
  ASSERT_TRUE(third->has_turn());
  third.reset();
  run();
  EXPECT_EQ(slots->free(), 1);
  Lease again;
  EXPECT_EQ(on(0).pool.come({"m"}, {}, again), Supply::kTaken) << "nobody is counted any more";
}

TEST_F(QueueHomeTest, ATurnThatFindsNothingWaitsForTheNextSlot) {
  Lease lease = hold(0);
  OneCall call(on(1), 1);
  run();
  lease.release();
  Lease thief;
  ASSERT_EQ(on(2).pool.take({"m"}, {}, thief), Supply::kTaken);  // of another queue, as far as this one knows
  run();
  if (call.has_turn()) {
    EXPECT_FALSE(call.take());
  }
  run();
  EXPECT_FALSE(call.has_turn());
  thief.release();
  run();
  ASSERT_TRUE(call.has_turn());
  EXPECT_TRUE(call.take());
}

TEST_F(QueueHomeTest, MoreSlotsAreGivenAtOnceAndFewerAreNotGivenTwice) {
  Lease lease = hold(0);
  std::list<OneCall> calls;
  for (std::size_t i = 0; i < 5; ++i) calls.emplace_back(on(i), i + 1);
  run();
  const auto turns = [&] { return std::ranges::count_if(calls, [](const OneCall& call) { return call.has_turn(); }); };
  EXPECT_EQ(turns(), 0);
  slots->set_count(3);
  on(0).pool.wake_all();
  on(1).pool.wake_all();
  on(2).pool.wake_all();
  run();
  EXPECT_EQ(turns(), 2);
}

TEST_F(QueueHomeTest, AFreedSlotGoesToWhoCanUseItAndNotToWhoeverIsFirst) {
  for (OneWorker& worker : workers) worker.place->only_for = 7;
  Lease lease;
  ASSERT_EQ(on(0).pool.come({"m", 7}, {}, lease), Supply::kTaken);
  OneCall other_tenants(on(0), 1, {.model = "m", .tenant_id = 8});
  OneCall other_endpoint(on(0), 2, {.model = "m", .tenant_id = 7, .endpoint = 99});
  OneCall elsewhere(on(0), 3, {.model = "m", .tenant_id = 7, .place = "not-this"});
  OneCall here(on(1), 4, {.model = "m", .tenant_id = 7, .endpoint = 99, .instead = 2, .place = "direct"});
  run();
  lease.release();
  run();
  EXPECT_FALSE(other_tenants.has_turn() || other_endpoint.has_turn() || elsewhere.has_turn());
  EXPECT_TRUE(here.has_turn());
}

// Waits for its turn, uses the slot and gives it back, once.
Task<void> use_slot(QueueHomeTest::OneCall& call, std::vector<std::string>& served) {
  for (;;) {
    (void)co_await call.wake.wait();
    if (call.has_turn() && call.take()) break;
  }
  served.emplace_back(call.wanted.model);
  co_await call.worker.loop.yield();
  call.end();
}

TEST_F(QueueHomeTest, ModelsThatShareAPlaceAreServedInTurns) {
  know({"m", "n", "o", "p"});
  Lease lease = hold(0);
  std::list<OneCall> calls;
  std::vector<std::string> served;
  std::list<net::TaskGroup> tasks;
  for (OneWorker& worker : workers) tasks.emplace_back(worker.loop, [](const char* what) { FAIL() << what; });
  for (std::size_t i = 0; i < 10; ++i) {
    for (const char* model : {"m", "n", "o", "p"}) {
      OneCall& call = calls.emplace_back(on(i), 1, Wanted{.model = model});
      std::next(tasks.begin(), static_cast<std::ptrdiff_t>(i % 3))->spawn(use_slot(call, served));
    }
  }
  run();
  lease.release();
  run();
  ASSERT_EQ(served.size(), 40u) << "no call is lost";
  for (const char* model : {"m", "n", "o", "p"})
    EXPECT_GE(std::count(served.begin(), served.begin() + 20, model), 3) << model;
}

TEST_F(QueueHomeTest, RefusesWhatIsTooManyAndWhatWouldWaitTooLong) {
  for (OneWorker& worker : workers) worker.pool.set_queue_bounds({.calls = 4, .calls_per_user = 2});
  Lease lease = hold(0);
  OneCall first(on(0), 1), second(on(1), 1), third(on(2), 1), other(on(0), 2), last(on(1), 3), none(on(2), 4);
  run();
  EXPECT_EQ(first.queued->state(), Turn::State::kWaits);
  EXPECT_EQ(second.queued->state(), Turn::State::kWaits);
  EXPECT_EQ(third.queued->state(), Turn::State::kUserFull);
  EXPECT_EQ(last.queued->state(), Turn::State::kWaits);
  EXPECT_EQ(none.queued->state(), Turn::State::kFull);
  other.queued->ask();
  run();
  ASSERT_TRUE(other.queued->told());
  EXPECT_GE(other.queued->position(), 1u);
  EXPECT_LE(other.queued->position(), 3u);
}

}  // namespace
}  // namespace sluice::upstream
