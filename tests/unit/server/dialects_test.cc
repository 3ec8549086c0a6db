// The table of dialects that this program has.
#include "server/dialects.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice::server {
namespace {

TEST(Dialects, NoTwoEndpointsHaveOneNameOrOnePathAndMethod) {
  const Dialects dialects;
  const dialect::Table& table = dialects.table();
  std::set<std::string_view> names;
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> calls;
  for (const dialect::Endpoint& endpoint : table.endpoints()) {
    EXPECT_TRUE(names.insert(endpoint.name).second) << endpoint.name;
    EXPECT_TRUE(calls.insert({endpoint.method, endpoint.path, endpoint.behind_id}).second) << endpoint.path;
    EXPECT_TRUE(endpoint.path.starts_with('/')) << endpoint.path;
  }
  EXPECT_LE(names.size(), dialect::Table::kMostEndpoints);
}

TEST(Dialects, AMatchSaysWhichEndpointByItsNumber) {
  const Dialects dialects;
  const dialect::Table& table = dialects.table();
  for (std::uint32_t number = 0; number < table.endpoints().size(); ++number) {
    const dialect::Endpoint& endpoint = table.endpoints()[number];
    const bool open = endpoint.work == dialect::Work::kShowModel || endpoint.work == dialect::Work::kStored;
    const std::string path = std::string(endpoint.path) + (open ? "m" : "") + std::string(endpoint.behind_id);
    const dialect::Match match = table.find(path, endpoint.method);
    EXPECT_EQ(match.rest, open ? "m" : "");
    ASSERT_NE(match.endpoint, nullptr) << endpoint.path;
    EXPECT_EQ(match.number, number);
    EXPECT_EQ(match.endpoint->name, endpoint.name);
    EXPECT_NE(match.dialect, nullptr);
  }
}

TEST(Dialects, ATranslationLeadsFromOneEndpointOfTheTableToAnotherThatDoesTheSameWork) {
  const Dialects dialects;
  const dialect::Table& table = dialects.table();
  std::size_t detours = 0;
  for (std::uint32_t number = 0; number < table.endpoints().size(); ++number) {
    const dialect::Detour* const detour = table.detour(number);
    if (detour == nullptr) continue;
    ++detours;
    const dialect::Endpoint& from = table.endpoints()[number];
    ASSERT_LT(detour->number, table.endpoints().size()) << from.name;
    EXPECT_EQ(detour->translation->from(), from.name);
    EXPECT_EQ(detour->endpoint, &table.endpoints()[detour->number]);
    EXPECT_EQ(detour->translation->to(), detour->endpoint->name);
    EXPECT_EQ(detour->text, std::string(from.name) + " -> " + std::string(detour->endpoint->name));
    EXPECT_EQ(detour->endpoint->work, from.work) << from.name;
    EXPECT_EQ(table.find(detour->endpoint->path).dialect, detour->dialect);
  }
  EXPECT_NE(detours, 0u);
}

}  // namespace
}  // namespace sluice::server
