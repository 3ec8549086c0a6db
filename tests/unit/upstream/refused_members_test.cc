#include "upstream/refused_members.h"

#include <gtest/gtest.h>

namespace sluice::upstream {
namespace {

constexpr MonoTime at(int seconds) { return MonoTime(std::chrono::seconds(seconds)); }

TEST(RefusedMembers, AreKnownByPlaceAndModelUntilTheyExpire) {
  RefusedMembers table;
  EXPECT_FALSE(table.find("a", "m", at(0)).usage_refused);
  table.learn("a", "m", {.usage_refused = true}, at(0), at(10));
  table.learn("a", "m", {.cap = CapMember::kMaxTokens}, at(1), at(11));
  EXPECT_TRUE(table.find("a", "m", at(10)).usage_refused);
  EXPECT_EQ(table.find("a", "m", at(10)).cap, CapMember::kMaxTokens);
  table.learn("a", "m", {.lacks = 2}, at(2), at(11));
  table.learn("a", "m", {.lacks = 4}, at(3), at(11));
  EXPECT_EQ(table.find("a", "m", at(10)).lacks, 6u);
  EXPECT_FALSE(table.find("b", "m", at(1)).usage_refused);
  EXPECT_FALSE(table.find("a", "n", at(1)).usage_refused);
  EXPECT_FALSE(table.find("a", "m", at(11)).usage_refused);
  table.learn("a", "m", {.cap = CapMember::kMaxTokens}, at(12), at(20));
  EXPECT_FALSE(table.find("a", "m", at(13)).usage_refused) << "what has expired is not revived";
}

TEST(RefusedMembers, TheTableIsBounded) {
  RefusedMembers table;
  int known = 0;
  for (int i = 0; i < 5'000; ++i) table.learn("a", std::to_string(i), {.usage_refused = true}, at(0), at(10));
  for (int i = 0; i < 5'000; ++i) known += table.find("a", std::to_string(i), at(1)).usage_refused ? 1 : 0;
  EXPECT_LE(known, 1'024);
  EXPECT_TRUE(table.find("a", "4999", at(1)).usage_refused);
}

}  // namespace
}  // namespace sluice::upstream
