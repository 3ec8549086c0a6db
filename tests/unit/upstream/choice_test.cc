// Which place a call goes to: ranks, weights, the better of two, and what is left out.
#include "upstream/choice.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class OpenPlace final : public Place {
 public:
  OpenPlace(std::string name, std::int64_t slots) : name_(std::move(name)), slots_(slots) {}
  std::string_view name() const noexcept override { return name_; }
  const char* kind() const noexcept override { return "upstream"; }
  CallTimes times() const noexcept override { return {}; }
  bool reachable() const noexcept override { return up; }
  MonoTime healthy_at() const noexcept override { return healthy; }
  std::int64_t slots() const noexcept override { return slots_.count(); }
  std::int64_t free_slots() const noexcept override { return slots_.free(); }
  std::int64_t queued() const noexcept override { return queue; }
  bool take_slot() noexcept override { return slots_.take(); }
  void free_slot() noexcept override { slots_.give(); }
  std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest&, net::Signal&) noexcept override {
    return nullptr;
  }
  bool up = true;
  std::int64_t queue = 0;
  MonoTime healthy = MonoTime::max();

 private:
  std::string name_;
  Slots slots_;
};

struct ChoiceTest : testing::Test {
  KnownModel model;
  std::vector<std::shared_ptr<OpenPlace>> places;
  BreakerSettings settings;
  std::uint64_t random = 42;

  void add(const std::string& name, std::int64_t slots = 100) {
    places.push_back(std::make_shared<OpenPlace>(name, slots));
    model.places.push_back(places.back());
    model.standings.push_back(std::make_shared<Standing>());
  }
  // Ranks of (place, weight).
  void route(const std::vector<std::vector<std::pair<std::uint32_t, std::uint32_t>>>& ranks,
             std::vector<std::string> tenants = {}) {
    Ranks& made = model.routes.emplace_back();
    made.tenants = std::move(tenants);
    for (const auto& rank : ranks) {
      Ranks::Rank& one = made.ranks.emplace_back();
      std::uint32_t up_to = 0;
      for (const auto& [at, weight] : rank) {
        one.options.push_back({at, up_to += weight});
        one.weighted = one.weighted || weight != rank.front().second;
      }
    }
  }
  void eject(std::size_t at, MonoTime when = Mono::now()) {
    for (std::uint32_t i = 0; i < settings.failures; ++i)
      (void)model.standings[at]->breaker.failed(when, when, Fault::kConnect, settings);
  }
  Supply take(Chosen& chosen, Wanted wanted = {.model = "m"}, std::span<const Place* const> tried = {}) {
    return Choice(model, {}, wanted, tried, random).take(chosen);
  }
  // The name of the place that a call gets; its slot is given back. Empty: none.
  std::string taken(Wanted wanted = {.model = "m"}) {
    Chosen chosen;
    if (take(chosen, wanted) != Supply::kTaken) return "";
    (*chosen.place)->free_slot();
    return std::string((*chosen.place)->name());
  }
  std::map<std::string, int> split(int calls) {
    std::map<std::string, int> counts;
    for (int i = 0; i < calls; ++i) ++counts[taken()];
    return counts;
  }
};

TEST_F(ChoiceTest, TheFirstRankIsUsedWhileItHasRoomAndTheNextBehindIt) {
  add("first", 1);
  add("second", 1);
  route({{{0, 1}}, {{1, 1}}});
  Chosen a, b, c;
  ASSERT_EQ(take(a), Supply::kTaken);
  ASSERT_EQ(take(b), Supply::kTaken);
  EXPECT_EQ((*a.place)->name(), "first");
  EXPECT_EQ((*b.place)->name(), "second");
  EXPECT_EQ(take(c), Supply::kFull);
}

TEST_F(ChoiceTest, WhatARouteDoesNotNameIsNotCalled) {
  add("named");
  add("other");
  route({{{0, 1}}});
  EXPECT_EQ(split(100), (std::map<std::string, int>{{"named", 100}}));
  places[0]->up = false;
  EXPECT_EQ(taken(), "");
}

TEST_F(ChoiceTest, ATenantsRouteIsTheTenants) {
  add("for-acme");
  add("for-all");
  route({{{0, 1}}}, {"acme"});
  route({{{1, 1}}});
  EXPECT_EQ(taken({.model = "m", .tenant = "acme"}), "for-acme");
  EXPECT_EQ(taken({.model = "m", .tenant = "other"}), "for-all");
}

TEST_F(ChoiceTest, WeightsSplitCallsByChance) {
  add("three");
  add("one");
  route({{{0, 3}, {1, 1}}});
  const auto counts = split(10'000);
  EXPECT_NEAR(counts.at("three"), 7'500, 300);
  EXPECT_NEAR(counts.at("one"), 2'500, 300);
}

TEST_F(ChoiceTest, AmongEqualsTheEmptierAndTheQuickerIsTaken) {
  add("full", 10);
  add("empty", 10);
  std::vector<Chosen> held(5);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(places[0]->take_slot());
  EXPECT_EQ(split(20), (std::map<std::string, int>{{"empty", 20}}));
  places[1]->queue = 9;
  EXPECT_EQ(split(20), (std::map<std::string, int>{{"full", 20}})) << "what it says of its own queue counts, too";
  places[1]->queue = 0;
  model.standings[0]->first_token.note(milliseconds(10), Mono::now());
  model.standings[1]->first_token.note(milliseconds(500), Mono::now());
  EXPECT_EQ(split(20), (std::map<std::string, int>{{"full", 20}}));
}

TEST_F(ChoiceTest, OfManyTheBetterOfTwoIsTakenAndTheWorstOfAllNever) {
  for (int i = 0; i < 50; ++i) add("p" + std::to_string(i), 10);
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(places[7]->take_slot());
  const auto counts = split(5'000);
  EXPECT_EQ(counts.count("p7"), 0u);
  EXPECT_EQ(counts.size(), 49u);
}

TEST_F(ChoiceTest, OfManyTheOneThatIsLeftIsFound) {
  for (int i = 0; i < 200; ++i) add("p" + std::to_string(i), 1);
  for (int i = 0; i < 200; ++i) places[static_cast<std::size_t>(i)]->up = i == 123;
  EXPECT_EQ(taken(), "p123");
}

TEST_F(ChoiceTest, AnEjectedPlaceGetsNothingWhileAnotherIsThereAndOneTrialWhenItsTimeIsOver) {
  add("sick");
  add("well");
  eject(0);
  EXPECT_EQ(split(50), (std::map<std::string, int>{{"well", 50}}));
  places[1]->take_slot();
  for (int i = 0; i < 99; ++i) ASSERT_TRUE(places[1]->take_slot());
  EXPECT_EQ(taken(), "") << "a call waits for a place that is well";
  for (int i = 0; i < 100; ++i) places[1]->free_slot();
  model.standings[0] = std::make_shared<Standing>();
  eject(0, Mono::now() - seconds(60));
  places[0]->healthy = Mono::now() - seconds(90);
  EXPECT_EQ(split(50).count("sick"), 0u) << "its health check has not gone well since";
  places[0]->healthy = Mono::now();
  EXPECT_EQ(split(50), (std::map<std::string, int>{{"sick", 1}, {"well", 49}}));
}

TEST_F(ChoiceTest, WhereAllAreEjectedTheLeastBadIsCalledUnlessTheCallMayNot) {
  add("worse");
  add("less-bad");
  eject(0);
  eject(1, Mono::now() - seconds(2));
  EXPECT_EQ(split(20), (std::map<std::string, int>{{"less-bad", 20}}));
  EXPECT_EQ(taken({.model = "m", .sick = Sick::kNever}), "");
  const Wanted never{.model = "m", .sick = Sick::kNever};
  EXPECT_EQ(Choice(model, {}, never, {}, random).look(), Supply::kUnreachable);
  model.standings[0] = std::make_shared<Standing>();
  EXPECT_EQ(Choice(model, {}, never, {}, random).look(), Supply::kFull) << "one that is well has slots";
}

TEST_F(ChoiceTest, APauseThatAPlaceAskedForIsKeptWhileAnotherIsThere) {
  add("busy");
  add("idle");
  model.standings[0]->breaker.hold_off(Mono::now(), seconds(30), settings);
  EXPECT_EQ(split(50), (std::map<std::string, int>{{"idle", 50}}));
  places[1]->up = false;
  EXPECT_EQ(taken(), "busy");
}

TEST_F(ChoiceTest, EveryPlaceIsExplainedInTheOrderOfTheRoute) {
  add("sick");
  add("well");
  add("other");
  eject(0);
  route({{{1, 1}}, {{0, 2}}});
  Wanted wanted{.model = "m"};
  const auto lines = Choice(model, {}, wanted, {}, random).explain();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].place, "well");
  EXPECT_EQ(lines[0].words, "is well: 100 of 100 slots are free");
  EXPECT_EQ(lines[1].rank, 2u);
  EXPECT_EQ(lines[1].weight, 2u);
  EXPECT_EQ(lines[1].words, "ejected: connections fail; tried again in 5 s");
  EXPECT_EQ(lines[2].rank, 0u);
  EXPECT_EQ(lines[2].words, "serves the model, but the route does not name it");
}

}  // namespace
}  // namespace sluice::upstream
