// What rules of the conf become for one model: ranks of the places that are there.
#include "upstream/route.h"

#include <gtest/gtest.h>

#include "upstream/catalog.h"
#include "upstream/pool.h"

namespace sluice::upstream {
namespace {

class NamedPlace final : public Place {
 public:
  explicit NamedPlace(std::string name) : name_(std::move(name)) {}
  std::string_view name() const noexcept override { return name_; }
  const char* kind() const noexcept override { return "agent"; }
  CallTimes times() const noexcept override { return {}; }
  bool reachable() const noexcept override { return true; }
  std::int64_t slots() const noexcept override { return 1; }
  std::int64_t free_slots() const noexcept override { return 1; }
  bool take_slot() noexcept override { return true; }
  void free_slot() noexcept override {}
  std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest&, net::Signal&) noexcept override {
    return nullptr;
  }

 private:
  std::string name_;
};

RouteRule rule(const std::string& model, const std::vector<std::string>& ranks, std::vector<std::string> tenants = {},
               std::vector<std::string> fallback = {}) {
  RouteRule made{.model = model, .tenants = std::move(tenants), .ranks = {}, .fallback = std::move(fallback)};
  for (const std::string& rank : ranks) made.ranks.push_back(*config::parse_rank(rank));
  return made;
}

struct RouteTest : testing::Test {
  KnownModel model;
  RouteTest() {
    for (const char* name : {"gpu-1", "gpu-2", "cpu"}) model.places.push_back(std::make_shared<NamedPlace>(name));
    model.upstreams = {0, 1};
  }
  // "gpu-1 cloud | backup": ranks, each with the names of its places; weights behind "=" where they differ.
  std::string text(const Ranks& ranks) const {
    std::string all;
    for (const Ranks::Rank& rank : ranks.ranks) {
      if (&rank != ranks.ranks.data()) all += " | ";
      std::uint32_t before = 0;
      for (const Ranks::Option& option : rank.options) {
        if (before != 0) all += " ";
        all += option.at < 3 ? model.places[option.at]->name() : name_of(option.at - 3);
        if (rank.weighted) all += "=" + std::to_string(option.up_to - before);
        before = option.up_to;
      }
    }
    return all;
  }
  static std::string_view name_of(std::uint32_t number) { return number == 0 ? "cloud" : "backup"; }
  std::vector<Ranks> resolve(const std::vector<RouteRule>& rules, std::string_view name,
                             std::string_view target = "m") {
    return resolve_routes(rules, name, target, model, name_of);
  }
};

TEST_F(RouteTest, RanksAreInOrderAndHoldWhatTheyName) {
  const auto routes = resolve({rule("m", {"agent:gpu-*", "cloud", "*"})}, "m");
  ASSERT_EQ(routes.size(), 1u);
  EXPECT_EQ(text(routes[0]), "gpu-1 gpu-2 | cloud | gpu-1 gpu-2 cpu cloud backup");
}

TEST_F(RouteTest, AnUpstreamsNameIsNoAgentsAndWhatIsNotThereIsLeftOut) {
  EXPECT_EQ(text(resolve({rule("m", {"cpu, cloud", "gone"})}, "m")[0]), "cloud | ");
}

TEST_F(RouteTest, WeightsAreKeptAndEqualOnesAreNone) {
  EXPECT_EQ(text(resolve({rule("m", {"cloud=3, backup"})}, "m")[0]), "cloud=3 backup=1");
  EXPECT_EQ(text(resolve({rule("m", {"cloud=3, backup=3"})}, "m")[0]), "cloud backup");
}

TEST_F(RouteTest, RulesOfTenantsComeBesideTheFirstThatIsForAll) {
  const auto routes = resolve({rule("m", {"cloud"}, {"acme"}), rule("*", {"backup"}), rule("m", {"agent:cpu"})}, "m");
  ASSERT_EQ(routes.size(), 2u);
  EXPECT_TRUE(routes[0].is_for("acme") && !routes[0].is_for("other"));
  EXPECT_EQ(text(routes[1]), "backup");
}

TEST_F(RouteTest, AnAliasFollowsTheRulesOfWhatItStandsForUnlessItHasItsOwn) {
  const std::vector<RouteRule> rules{rule("m", {"cloud"}), rule("own", {"backup"})};
  EXPECT_EQ(text(resolve(rules, "fast")[0]), "cloud");
  EXPECT_EQ(text(resolve(rules, "own")[0]), "backup");
  EXPECT_TRUE(resolve(rules, "other", "other").empty());
}

TEST_F(RouteTest, ARuleWithoutPlacesHasThemAll) {
  const auto routes = resolve({rule("m", {}, {}, {"n"})}, "m");
  EXPECT_EQ(text(routes[0]), "gpu-1 gpu-2 cpu cloud backup");
  EXPECT_EQ(routes[0].fallback, std::vector<std::string>{"n"});
}

TEST(CatalogRoutes, CallsFollowThem) {
  net::Loop loop;
  Pool pool(loop);
  Catalog catalog;
  catalog.set_routes({rule("m", {"agent:b", "agent:a"}, {}, {"n"})});
  catalog.offer("1", {{"m", std::make_shared<NamedPlace>("a")}});
  catalog.offer("2", {{"m", std::make_shared<NamedPlace>("b")}});
  pool.set_models(catalog.join().models);
  for (int i = 0; i < 20; ++i) {
    Lease lease;
    ASSERT_EQ(pool.take({.model = "m"}, {}, lease), Supply::kTaken);
    EXPECT_EQ(lease->name(), "b");
  }
  EXPECT_EQ(pool.fallbacks({.model = "m"}), std::vector<std::string>{"n"});
  EXPECT_TRUE(pool.fallbacks({.model = "other"}).empty());
}

}  // namespace
}  // namespace sluice::upstream
