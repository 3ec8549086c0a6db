// What holds bytes of requests: contents move as they should, and nothing stays behind.
#include "base/bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace sluice {
namespace {

TEST(Buffer, GivesBackWhatWasAppendedInItsOrder) {
  Buffer buffer;
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    const std::string part(static_cast<std::size_t>(i), static_cast<char>('a' + i % 26));
    buffer.append(part);
    expected += part;
    const std::size_t take = std::min<std::size_t>(expected.size(), 37);
    EXPECT_EQ(buffer.view().substr(0, take), expected.substr(0, take));
    buffer.consume(take);
    expected.erase(0, take);
  }
  EXPECT_EQ(buffer.view(), expected);
}

TEST(Buffer, CommitsOnlyWhatItIsTold) {
  Buffer buffer;
  buffer.append("ab");
  const std::span<char> room = buffer.prepare(100);
  ASSERT_EQ(room.size(), 100u);
  room[0] = 'c';
  buffer.commit(1);
  EXPECT_EQ(buffer.view(), "abc");
}

TEST(Buffer, WipesWhatIsCutOffOrCleared) {
  Buffer buffer;
  buffer.append("secret prompt");
  const char* const bytes = buffer.data();
  buffer.truncate(6);
  EXPECT_EQ(buffer.view(), "secret");
  EXPECT_EQ(std::string(bytes + 6, 7), std::string(7, '\0'));
  buffer.clear();
  EXPECT_EQ(std::string(bytes, 6), std::string(6, '\0'));
}

TEST(Buffer, WipesWhenItsLastByteIsConsumed) {
  Buffer buffer;
  buffer.append("secret");
  const char* const bytes = buffer.data();
  buffer.consume(6);
  EXPECT_EQ(std::string(bytes, 6), std::string(6, '\0'));
}

TEST(Buffer, AsLargeAsPagesGrowsWithWhatItHoldsAndIsEmptiedWithAllOfIt) {
  Buffer buffer;
  std::string expected;
  for (char c = 'a'; c <= 'z'; ++c) {
    const std::string part(300'000, c);
    buffer.append(part);
    expected += part;
    if (c % 5 == 0) {
      buffer.consume(100'000);
      expected.erase(0, 100'000);
    }
  }
  ASSERT_GE(buffer.capacity(), std::size_t{1} << 20);
  ASSERT_TRUE(buffer.view() == expected);
  const char* const bytes = buffer.data();
  const std::size_t size = buffer.size();
  buffer.clear();
  EXPECT_TRUE(std::string_view(bytes, size) == std::string(size, '\0'));
  buffer.append("again");
  EXPECT_EQ(buffer.view(), "again");
}

TEST(Buffer, LeavesNothingInWhatItWasMovedFrom) {
  Buffer from;
  from.append("abc");
  Buffer to = std::move(from);
  EXPECT_EQ(to.view(), "abc");
  EXPECT_EQ(from.size(), 0u);  // NOLINT: that is the question
  EXPECT_EQ(from.capacity(), 0u);
}

}  // namespace
}  // namespace sluice
