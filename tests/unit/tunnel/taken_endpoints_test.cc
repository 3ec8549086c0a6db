#include "tunnel/taken_endpoints.h"

#include <gtest/gtest.h>

#include <array>

namespace sluice::tunnel {
namespace {

using dialect::Agents;

constexpr std::array<dialect::Endpoint, 4> kEndpoints{
    dialect::Endpoint{.name = "old", .method = "POST", .path = "/v1/old", .agents = Agents::kEvery},
    dialect::Endpoint{.name = "new", .method = "POST", .path = "/v1/new", .agents = Agents::kWhoSaysSo},
    dialect::Endpoint{.name = "here", .method = "GET", .path = "/v1/here", .agents = Agents::kNone},
    dialect::Endpoint{.name = "newer", .method = "POST", .path = "/v1/newer", .agents = Agents::kWhoSaysSo}};

TEST(TakenEndpoints, AnAgentThatSaysNothingTakesWhatEveryAgentTakes) {
  EXPECT_EQ(taken_endpoints(kEndpoints, {}), 0b0001u);
}

TEST(TakenEndpoints, AnAgentTakesWhatItNamesAndWhatItsOwnerAllows) {
  HelloAnswer answer;
  answer.endpoints = {"new", "here", "unknown"};
  EXPECT_EQ(taken_endpoints(kEndpoints, answer), 0b0010u);
  answer.allowed = {"POST /v1/newer", "POST /v1/ol", "GET /v1/old"};
  EXPECT_EQ(taken_endpoints(kEndpoints, answer), 0b1010u);
}

TEST(TakenEndpoints, NamesThatNobodyKnowsAreNone) {
  EXPECT_EQ(named_endpoints(kEndpoints, {"new", "unknown", "old"}), 0b0011u);
}

TEST(TakenEndpoints, AGatewayNamesWhatItSendsToAgents) {
  EXPECT_EQ(offered_endpoints(kEndpoints), (std::vector<std::string>{"old", "new", "newer"}));
}

}  // namespace
}  // namespace sluice::tunnel
