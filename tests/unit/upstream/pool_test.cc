// The choice among places, the queue before full ones, and what a catalog makes known.
#include "upstream/pool.h"

#include <gtest/gtest.h>

#include <set>

#include "upstream/catalog.h"

namespace sluice::upstream {
namespace {

class FakePlace final : public Place {
 public:
  FakePlace(std::string name, std::int64_t slots) : name_(std::move(name)), slots_(slots) {}
  std::string_view name() const noexcept override { return name_; }
  bool reachable() const noexcept override { return up; }
  std::int64_t free_slots() const noexcept override { return slots_.free(); }
  bool take_slot() noexcept override { return slots_.take(); }
  void free_slot() noexcept override { slots_.give(); }
  std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest&, net::Signal&) noexcept override {
    return nullptr;
  }
  bool up = true;

 private:
  std::string name_;
  Slots slots_;
};

struct PoolTest : testing::Test {
  net::Loop loop;
  Pool pool{loop};
  std::shared_ptr<FakePlace> small = std::make_shared<FakePlace>("small", 1);
  std::shared_ptr<FakePlace> large = std::make_shared<FakePlace>("large", 3);
  Supply take(std::string_view model, Lease& lease, std::span<const Place* const> tried = {}) {
    return pool.take(model, tried, lease);
  }
};

TEST_F(PoolTest, PicksThePlaceWithMostFreeSlots) {
  pool.replace({{"m", {small, large}}});
  Lease a, b;
  ASSERT_EQ(take("m", a), Supply::kTaken);
  ASSERT_EQ(take("m", b), Supply::kTaken);
  EXPECT_EQ(a->name(), "large");
  EXPECT_EQ(b->name(), "large");
}

TEST_F(PoolTest, TellsUnknownUnreachableAndFullApart) {
  pool.replace({{"m", {small}}, {"nobody", {}}});
  Lease first, second;
  EXPECT_EQ(take("other", first), Supply::kUnknown);
  EXPECT_EQ(take("nobody", first), Supply::kUnreachable);
  ASSERT_EQ(take("m", first), Supply::kTaken);
  EXPECT_EQ(take("m", second), Supply::kFull);
  first.release();
  EXPECT_EQ(take("m", second), Supply::kTaken);
  second.release();
  small->up = false;
  EXPECT_EQ(take("m", second), Supply::kUnreachable);
}

TEST_F(PoolTest, LeavesOutWhatWasTried) {
  pool.replace({{"m", {small, large}}});
  const Place* tried[] = {large.get()};
  Lease lease;
  ASSERT_EQ(take("m", lease, tried), Supply::kTaken);
  EXPECT_EQ(lease->name(), "small");
}

Task<void> wait_once(net::Signal& wake, int& woken) {
  co_await wake.wait();
  ++woken;
}

TEST_F(PoolTest, OneFreedSlotWakesOneWaiterAndANewOfferWakesAll) {
  pool.replace({{"m", {small}}});
  Lease lease;
  ASSERT_EQ(take("m", lease), Supply::kTaken);
  net::Signal a(loop), b(loop);
  Pool::Waiter first(pool, "m", a), second(pool, "m", b);
  int woken = 0;
  net::TaskGroup tasks(loop, [](const char* what) { FAIL() << what; });
  tasks.spawn(wait_once(a, woken));
  tasks.spawn(wait_once(b, woken));
  loop.io().poll();
  lease.release();
  loop.io().restart();
  loop.io().poll();
  EXPECT_EQ(woken, 1);
  pool.replace({{"m", {small, large}}});
  loop.io().restart();
  loop.io().poll();
  EXPECT_EQ(woken, 2);
}

TEST_F(PoolTest, AFreedSlotWakesOneWhoCanUseItAndNotWhoeverIsFirst) {
  pool.replace({{"m", {small}}, {"other", {large}}});
  Lease lease;
  ASSERT_EQ(take("m", lease), Supply::kTaken);
  net::Signal a(loop), b(loop);
  Pool::Waiter for_other(pool, "other", a), for_m(pool, "m", b);
  int other_woken = 0, m_woken = 0;
  net::TaskGroup tasks(loop, [](const char* what) { FAIL() << what; });
  tasks.spawn(wait_once(a, other_woken));
  tasks.spawn(wait_once(b, m_woken));
  loop.io().poll();
  lease.release();
  loop.io().restart();
  loop.io().poll();
  EXPECT_EQ(other_woken, 0);
  EXPECT_EQ(m_woken, 1);
  a.notify();
  loop.io().restart();
  loop.io().poll();
}

TEST_F(PoolTest, CatalogJoinsOffersAndKeepsKnownModelsWithoutPlaces) {
  std::set<std::string> learned;
  Catalog catalog(pool, [&](const std::string& model) { learned.insert(model); });
  catalog.set_configured({}, {{"alias", "real"}});
  catalog.set_remembered({"kept"});
  catalog.offer("agent-1", {{"real", small}});
  Lease lease;
  EXPECT_EQ(take("alias", lease), Supply::kTaken);
  EXPECT_EQ(take("kept", lease), Supply::kUnreachable);
  lease.release();
  catalog.withdraw("agent-1");
  EXPECT_EQ(take("real", lease), Supply::kUnknown);
  EXPECT_EQ(take("alias", lease), Supply::kUnreachable);
  EXPECT_EQ(learned, (std::set<std::string>{"alias", "kept", "real"}));
  // A reload has put another conf in place, which must hear of what only agents know.
  learned.clear();
  catalog.set_configured({}, {{"alias", "real"}});
  EXPECT_EQ(learned, (std::set<std::string>{"alias", "kept"}));
}

TEST_F(PoolTest, NobodyCanTellWhichModelsAreUnknownBeforeEverySourceHasOffered) {
  Catalog catalog(pool, [](const std::string&) {});
  catalog.offer("first", {{"a", small}});
  EXPECT_FALSE(pool.learning());
  catalog.expect("first");  // has offered already, and serves as it did
  EXPECT_FALSE(pool.learning());
  catalog.expect("second");
  catalog.expect("third");
  EXPECT_TRUE(pool.learning());
  catalog.offer("second", {});
  EXPECT_TRUE(pool.learning());
  catalog.withdraw("third");
  EXPECT_FALSE(pool.learning());
}

TEST_F(PoolTest, ASourceThatCannotBeAskedKeepsNobodyWaitingAndKeepsWhatItOffered) {
  Catalog catalog(pool, [](const std::string&) {});
  catalog.offer("first", {{"a", small}});
  catalog.expect("away");
  EXPECT_TRUE(pool.learning());
  catalog.told_nothing("away");
  EXPECT_FALSE(pool.learning());
  catalog.told_nothing("first");
  EXPECT_TRUE(pool.knows("a"));
}

}  // namespace
}  // namespace sluice::upstream
