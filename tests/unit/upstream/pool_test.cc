// The choice among places, the queue before full ones, and what a catalog makes known.
#include "upstream/pool.h"

#include <gtest/gtest.h>

#include <map>

#include "upstream/catalog.h"

namespace sluice::upstream {
namespace {

class FakePlace final : public Place {
 public:
  FakePlace(std::string name, std::int64_t slots) : name_(std::move(name)), slots_(slots) {}
  std::string_view name() const noexcept override { return name_; }
  const char* kind() const noexcept override { return "upstream"; }
  CallTimes times() const noexcept override { return {}; }
  bool reachable() const noexcept override { return up; }
  std::int64_t slots() const noexcept override { return slots_.count(); }
  bool serves(std::uint64_t tenant_id) const noexcept override { return only_for == 0 || only_for == tenant_id; }
  std::int64_t free_slots() const noexcept override { return slots_.free(); }
  bool take_slot() noexcept override { return slots_.take(); }
  void free_slot() noexcept override { slots_.give(); }
  bool takes(std::uint32_t endpoint) const noexcept override { return endpoint != takes_not; }
  std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest&, net::Signal&) noexcept override {
    return nullptr;
  }
  bool up = true;
  std::uint64_t only_for = 0;
  std::uint32_t takes_not = 99;

 private:
  std::string name_;
  Slots slots_;
};

struct PoolTest : testing::Test {
  net::Loop loop;
  Pool pool{loop};
  std::shared_ptr<FakePlace> small = std::make_shared<FakePlace>("small", 1);
  std::shared_ptr<FakePlace> large = std::make_shared<FakePlace>("large", 3);
  void know(const std::map<std::string, std::vector<std::shared_ptr<Place>>>& places) {
    auto models = std::make_shared<Models>();
    for (const auto& [model, of_model] : places) {
      models->known[model].everyone = true;
      models->known[model].places = of_model;
    }
    pool.set_models(std::move(models));
  }
  Supply take(std::string_view model, Lease& lease, std::span<const Place* const> tried = {}) {
    return pool.take({model}, tried, lease);
  }
};

TEST(Slots, AreMoreOrFewerAtOnceAndThoseThatAreTakenAreGivenBackFirst) {
  Slots slots(2);
  EXPECT_TRUE(slots.take());
  EXPECT_TRUE(slots.take());
  EXPECT_FALSE(slots.take());
  slots.set_count(3);
  EXPECT_TRUE(slots.take());
  slots.set_count(1);
  EXPECT_EQ(slots.free(), -2);
  slots.give();
  slots.give();
  EXPECT_FALSE(slots.take()) << "one is still taken, and there is one";
  slots.give();
  EXPECT_TRUE(slots.take());
}

TEST_F(PoolTest, PicksThePlaceWithMostFreeSlots) {
  know({{"m", {small, large}}});
  Lease a, b;
  ASSERT_EQ(take("m", a), Supply::kTaken);
  ASSERT_EQ(take("m", b), Supply::kTaken);
  EXPECT_EQ(a->name(), "large");
  EXPECT_EQ(b->name(), "large");
}

TEST_F(PoolTest, TellsUnknownUnreachableAndFullApart) {
  know({{"m", {small}}, {"nobody", {}}});
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

TEST_F(PoolTest, APlaceThatDoesNotTakeTheEndpointIsNotChosen) {
  know({{"m", {small, large}}});
  large->takes_not = 1;
  const Wanted wanted{.model = "m", .endpoint = 1};
  Lease first, second;
  ASSERT_EQ(pool.take(wanted, {}, first), Supply::kTaken);
  EXPECT_EQ(first->name(), "small");
  EXPECT_EQ(pool.take(wanted, {}, second), Supply::kFull);
  small->takes_not = 1;
  EXPECT_EQ(pool.take(wanted, {}, second), Supply::kNotTaken);
  EXPECT_EQ(take("m", second), Supply::kTaken);
}

TEST_F(PoolTest, APlaceThatHasTheEndpointItselfComesFirstAndOneThatHasTheOtherBeforeAnyWaiting) {
  know({{"m", {small, large}}});
  large->takes_not = 1;
  const Wanted wanted{.model = "m", .endpoint = 1, .instead = 2};
  Lease own, other, last;
  ASSERT_EQ(pool.take(wanted, {}, own), Supply::kTaken);
  EXPECT_EQ(own->name(), "small");
  EXPECT_EQ(own.endpoint(), 1u);
  ASSERT_EQ(pool.take(wanted, {}, other), Supply::kTaken);
  EXPECT_EQ(other->name(), "large");
  EXPECT_EQ(other.endpoint(), 2u);
  own.release();
  ASSERT_EQ(pool.take(wanted, {}, last), Supply::kTaken);
  EXPECT_EQ(last.endpoint(), 1u);
  EXPECT_TRUE(pool.has_endpoint(wanted));
  small->takes_not = 1;
  EXPECT_FALSE(pool.has_endpoint(wanted));
}

TEST_F(PoolTest, ATakerOfTheEndpointThatIsAwayOrWasTriedIsNotForgotten) {
  know({{"m", {small, large}}});
  large->takes_not = 1;
  const Wanted wanted{.model = "m", .endpoint = 1};
  const Place* tried[] = {small.get()};
  Lease lease;
  EXPECT_EQ(pool.take(wanted, tried, lease), Supply::kUnreachable);
  small->up = false;
  EXPECT_EQ(pool.take(wanted, {}, lease), Supply::kUnreachable);
}

TEST_F(PoolTest, LeavesOutWhatWasTried) {
  know({{"m", {small, large}}});
  const Place* tried[] = {large.get()};
  Lease lease;
  ASSERT_EQ(take("m", lease, tried), Supply::kTaken);
  EXPECT_EQ(lease->name(), "small");
}

Task<void> wait_once(net::Signal& wake, int& woken) {
  co_await wake.wait();
  ++woken;
}

TEST_F(PoolTest, ANewOfferWakesEverybody) {
  net::Signal a(loop), b(loop);
  const Pool::Waiter first(pool, {"m"}, a), second(pool, {"m"}, b);
  int woken = 0;
  net::TaskGroup tasks(loop, [](const char* what) { FAIL() << what; });
  tasks.spawn(wait_once(a, woken));
  tasks.spawn(wait_once(b, woken));
  loop.io().poll();
  know({{"m", {small, large}}});
  loop.io().restart();
  loop.io().poll();
  EXPECT_EQ(woken, 2);
}

// --- the catalog

struct CatalogTest : PoolTest {
  void join() {
    Catalog::Joined joined = catalog.join();
    learned = std::move(joined.learned);
    ignored = joined.ignored;
    pool.set_models(std::move(joined.models));
  }
  Catalog catalog;
  std::vector<std::string> learned;
  std::size_t ignored = 0;
};

TEST_F(CatalogTest, JoinsOffersAndKeepsKnownModelsWithoutPlaces) {
  catalog.set_configured({"alias"}, {{"alias", "real"}});
  catalog.set_remembered({{{"kept"}, {}}});
  catalog.offer("agent-1", {{"real", small}});
  join();
  Lease lease;
  EXPECT_EQ(take("alias", lease), Supply::kTaken);
  EXPECT_EQ(take("kept", lease), Supply::kUnreachable);
  EXPECT_EQ(learned, (std::vector<std::string>{"kept", "real"}));
  lease.release();
  catalog.drop_agent("agent-1");
  join();
  EXPECT_EQ(take("real", lease), Supply::kUnknown);
  EXPECT_EQ(take("alias", lease), Supply::kUnreachable);
  EXPECT_EQ(learned, std::vector<std::string>{"kept"});
}

TEST_F(CatalogTest, ADirectUpstreamIsCalledThroughThePlaceOfTheWorker) {
  EXPECT_EQ(catalog.number_of("gone"), 0u);
  catalog.list("direct", {"m"});
  join();
  Lease lease;
  EXPECT_EQ(take("m", lease), Supply::kUnreachable);  // this worker has no place for it yet
  std::vector<std::shared_ptr<Place>> places(2);
  places[catalog.number_of("direct")] = large;
  pool.set_upstreams(places);
  EXPECT_EQ(take("m", lease), Supply::kTaken);
  EXPECT_EQ(lease->name(), "large");
  catalog.drop_upstream("direct");
  join();
  Lease second;
  EXPECT_EQ(take("m", second), Supply::kUnknown);
}

TEST_F(CatalogTest, NobodyCanTellWhichModelsAreUnknownBeforeEveryUpstreamHasListed) {
  const auto learning = [this] {
    join();
    return pool.learning();
  };
  catalog.list("first", {"a"});
  EXPECT_FALSE(learning());
  catalog.expect("first");  // has listed already, and serves as it did
  EXPECT_FALSE(learning());
  catalog.expect("second");
  catalog.expect("third");
  EXPECT_TRUE(learning());
  catalog.list("second", {});
  EXPECT_TRUE(learning());
  catalog.drop_upstream("third");
  EXPECT_FALSE(learning());
}

TEST_F(CatalogTest, AModelOfBoundAgentsIsKnownToTheirTenantsAlone) {
  catalog.offer("of-seven", {{"m", small}, {"shared", small}}, {7});
  catalog.offer("of-eight", {{"m", large}}, {8, 9});
  catalog.offer("of-all", {{"shared", large}});
  catalog.set_remembered({{{"kept"}, {7}}});
  join();
  EXPECT_TRUE(pool.knows({"m", 7}) && pool.knows({"m", 9}) && pool.knows({"shared", 3}) && pool.knows({"kept", 7}));
  EXPECT_FALSE(pool.knows({"m", 3}) || pool.knows({"kept", 8}));
  ASSERT_EQ(pool.models().size(), 3u);
  EXPECT_EQ(pool.models()[0]->first, "kept");
  catalog.set_configured({"m"}, {});
  join();
  EXPECT_TRUE(pool.knows({"m", 3}));
}

TEST_F(CatalogTest, BeyondTheLimitNewNamesAreIgnoredAndKnownOnesStay) {
  catalog.set_most_learned(3);
  catalog.set_configured({"conf"}, {});
  catalog.offer("b", {{"b1", small}, {"b2", small}});
  join();
  EXPECT_EQ(ignored, 0u);
  catalog.offer("a", {{"a1", large}, {"a2", large}, {"a3", large}, {"conf", large}});
  join();
  EXPECT_EQ(ignored, 2u);
  EXPECT_TRUE(pool.knows({"b1"}) && pool.knows({"b2"}) && pool.knows({"a1"}) && pool.knows({"conf"}));
  EXPECT_FALSE(pool.knows({"a2"}));
  catalog.drop_agent("b");
  join();
  EXPECT_TRUE(pool.knows({"a2"}) && pool.knows({"a3"}));
  EXPECT_FALSE(pool.knows({"b1"}));
}

TEST_F(CatalogTest, AnUpstreamThatCannotBeAskedKeepsNobodyWaitingAndKeepsWhatItListed) {
  catalog.list("first", {"a"});
  catalog.expect("away");
  join();
  EXPECT_TRUE(pool.learning());
  catalog.told_nothing("away");
  catalog.told_nothing("first");
  join();
  EXPECT_FALSE(pool.learning());
  EXPECT_TRUE(pool.knows({"a"}));
}

}  // namespace
}  // namespace sluice::upstream
