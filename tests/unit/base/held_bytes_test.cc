// What is held under the one cap: the small is free, the rest is counted in steps, and nothing stays counted.
#include "base/held_bytes.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr std::size_t kKiB = 1024;

TEST(Holding, CountsInStepsWhatIsMoreThanAFewKilobytes) {
  HeldBytes all(1024 * kKiB);
  Holding one(&all);
  EXPECT_TRUE(one.set(Holding::kFreeBytes));
  EXPECT_EQ(all.held(), 0u);
  EXPECT_TRUE(one.set(Holding::kFreeBytes + 1));
  EXPECT_EQ(all.held(), Holding::kStepBytes);
  EXPECT_TRUE(one.set(Holding::kStepBytes));
  EXPECT_EQ(all.held(), Holding::kStepBytes) << "no step is passed";
  EXPECT_TRUE(one.set(300 * kKiB));
  EXPECT_EQ(all.held(), 304 * kKiB);
}

TEST(Holding, GivesBackWhatItNoLongerHolds) {
  HeldBytes all(1024 * kKiB);
  {
    Holding one(&all);
    EXPECT_TRUE(one.set(512 * kKiB));
    EXPECT_TRUE(one.set(480 * kKiB));
    EXPECT_EQ(all.held(), 512 * kKiB) << "a little less costs no more than a comparison";
    EXPECT_TRUE(one.set(100 * kKiB));
    EXPECT_EQ(all.held(), 112 * kKiB);
    EXPECT_TRUE(one.set(0));
    EXPECT_EQ(all.held(), 0u);
    EXPECT_TRUE(one.set(512 * kKiB));
  }
  EXPECT_EQ(all.held(), 0u);
}

TEST(Holding, OfManyTogetherStaysUnderTheCap) {
  HeldBytes all(64 * kKiB);
  Holding one(&all), other(&all);
  EXPECT_TRUE(one.set(40 * kKiB));
  EXPECT_FALSE(other.set(20 * kKiB));
  EXPECT_EQ(all.held(), 48 * kKiB) << "a refusal takes nothing";
  EXPECT_TRUE(other.set(16 * kKiB));
  one.release();
  EXPECT_TRUE(other.set(64 * kKiB));
}

TEST(Holding, OfNothingIsNotCounted) {
  Holding none(nullptr);
  EXPECT_TRUE(none.set(1u << 30));
  EXPECT_EQ(none.counted(), 0u);
}

}  // namespace
}  // namespace sluice
