#include "store/revocation_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "unit/scratch.h"

namespace sluice::store {
namespace {

const Revocation kKey{.when = WallTime(std::chrono::microseconds(5)), .id = 12};
const Revocation kAgent{.when = WallTime(std::chrono::microseconds(6)),
                        .act = Revocation::Act::kSuspend,
                        .of = Revocation::Of::kAgent,
                        .id = ~std::uint64_t{0}};

struct RevocationLogTest : testing::Test {
  void append(std::string_view text) { std::ofstream(path, std::ios::app) << text; }

  Scratch scratch;
  const std::string path = RevocationLog::path_of(scratch.path(), "0123");
};

TEST_F(RevocationLogTest, SaysWhatWasWrittenBehindAMarkAlsoAcrossStarts) {
  LogMark begun, middle;
  {
    auto log = *RevocationLog::open(path);
    begun = log->mark();
    ASSERT_TRUE(log->add(kKey).ok());
  }
  auto log = *RevocationLog::open(path);
  middle = log->mark();
  ASSERT_TRUE(log->add(kAgent).ok());
  EXPECT_EQ(*read_revocations(path, begun), (std::vector{kKey, kAgent}));
  EXPECT_EQ(*read_revocations(path, middle), std::vector{kAgent});
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(RevocationLogTest, HalfALineIsCutAndTheNextOneIsWhole) {
  const LogMark begun = (*RevocationLog::open(path))->mark();
  append("7 revoke ke");
  EXPECT_TRUE(read_revocations(path, begun)->empty()) << "nobody was told that it is done";
  auto log = *RevocationLog::open(path);
  ASSERT_TRUE(log->add(kKey).ok());
  EXPECT_EQ(*read_revocations(path, begun), std::vector{kKey});
}

TEST_F(RevocationLogTest, ProvesNothingWhereItIsMissingAnothersShorterOrDamaged) {
  auto log = *RevocationLog::open(path);
  ASSERT_TRUE(log->add(kKey).ok());
  const LogMark mark = log->mark();
  EXPECT_TRUE(absl::IsNotFound(read_revocations(scratch.file("none"), mark).status()));
  EXPECT_TRUE(absl::IsNotFound(read_revocations(path, {.log_id = std::string(16, 'f'), .bytes = 0}).status()));
  EXPECT_TRUE(absl::IsNotFound(read_revocations(path, {.log_id = mark.log_id, .bytes = mark.bytes + 1}).status()));
  for (const char* line :
       {"x revoke key 1\n", "1 forgive key 1\n", "1 revoke dog 1\n", "1 revoke key\n", "1 revoke key 1 2\n", "\n"}) {
    std::filesystem::resize_file(path, mark.bytes);
    append(line);
    EXPECT_TRUE(absl::IsDataLoss(read_revocations(path, mark).status())) << line;
  }
  std::ofstream(path) << "something else\n";
  EXPECT_TRUE(absl::IsDataLoss(RevocationLog::open(path).status()));
}

}  // namespace
}  // namespace sluice::store
