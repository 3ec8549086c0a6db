// What agents say of their models and slots, and what of it is believed, kept and forgotten.
#include <sched.h>

#include "unit/tunnel/registry_fixture.h"

namespace {
std::function<void()> when_giving_way;
}

// In libc's place: what happens while somebody lets others run.
int sched_yield() noexcept {
  if (const auto run = std::exchange(when_giving_way, nullptr)) run();
  return 0;
}

namespace sluice::tunnel {
namespace {

TEST_F(RegistryTest, SlotsFollowWhatTheAgentSays) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  AgentModel& model = *listener.models[0];
  EXPECT_TRUE(model.take_slot());
  EXPECT_TRUE(model.take_slot());
  EXPECT_FALSE(model.take_slot());
  const std::string more = encode(Health{2, {{"m", ModelState::kReady, 3, 0}}, {}, {}}) + "\n";
  agent.health->append(more);
  ASSERT_TRUE(run_until([&] { return model.free_slots() == 1; }));
  const std::string away = encode(Health{3, {{"m", ModelState::kUnavailable, 3, 0}}, {}, {}}) + "\n";
  agent.health->append(away);
  ASSERT_TRUE(run_until([&] { return listener.models.empty(); }));
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  model.free_slot();
  model.free_slot();
}

TEST_F(RegistryTest, WhatAnAgentIsNotBoundToIsNotOfferedAndItsSlotsAreClamped) {
  directory.binding = {.which = identity::BoundModels::kListed, .models = {"m"}, .tenants = {4}};
  registry->set_limits({.default_slots = 64, .most_slots = 5, .most_models = 10});
  EchoAgent& agent = make_agent();
  agent.line = encode(Health{1, {{"m", ModelState::kReady, 9'000, 0}, {"n", ModelState::kReady, 2, 0}}, {}, {}}) + "\n";
  connect(agent);
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  ASSERT_EQ(listener.models.size(), 1u);
  EXPECT_EQ(listener.models[0]->name(), "m");
  EXPECT_EQ(listener.models[0]->capacity(), 5);
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  EXPECT_TRUE(listener.agent->binding().serves(4));
  EXPECT_FALSE(listener.agent->binding().serves(5));
  EXPECT_EQ(registry->list()[0].refused, std::vector<std::string>{"n"});
}

// The control thread gives way to the workers inside it; a worker that then waited for a lock would have gained nothing.
TEST_F(RegistryTest, NothingIsHeldWhileALongLineIsRead) {
  registry->set_limits({.default_slots = 64, .most_slots = 64, .most_models = 10'000});
  EchoAgent& agent = make_agent();
  Health health{1, {}, {}, {}};
  for (int i = 0; i < 2'000; ++i) health.models.push_back({std::to_string(i), {}, 1, 0});
  agent.line = encode(health) + "\n";
  bool gave_way = false;
  std::future<std::size_t> listed;
  when_giving_way = [&] {
    gave_way = true;
    listed = std::async(std::launch::async, [&] { return registry->list().size(); });
    EXPECT_EQ(listed.wait_for(10s), std::future_status::ready);
  };
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 2'000; }));
  EXPECT_TRUE(gave_way);
}

TEST_F(RegistryTest, ALineThatIsLongerThanTheWindowIsReadAndTheTunnelLives) {
  registry->set_limits({.default_slots = 64, .most_slots = 64, .most_models = 10'000});
  EchoAgent& agent = make_agent();
  Health health{1, {}, {}, {}};
  for (int i = 0; i < 2'000; ++i) health.models.push_back({std::string(200, 'x') + std::to_string(i), {}, 1, 0});
  agent.line = encode(health) + "\n";
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 2'000; }));
  health.sequence = 2;
  health.models.resize(1'500);
  const std::string shorter = encode(health) + "\n";
  agent.health->append(shorter);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1'500; }));
  EXPECT_EQ(registry->list()[0].tunnels, 1u);
}

TEST_F(RegistryTest, ModelsOfAnAgentThatStaysAwayAreForgotten) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  const WallTime now = SystemClock().wall();
  registry->forget(now + std::chrono::hours(48), std::chrono::hours(24));  // it is there
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  agent.tunnel.close();
  ASSERT_TRUE(run_until([&] { return listener.models.empty(); }));
  registry->forget(now + std::chrono::hours(71), std::chrono::hours(24));
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  registry->forget(now + std::chrono::hours(73), std::chrono::hours(24));
  EXPECT_TRUE(listener.known.empty());
  EXPECT_TRUE(directory.remembered.empty());
}

}  // namespace
}  // namespace sluice::tunnel
