// The state folder: made for its owner, held by one, and only looked at by a check.
#include "server/state_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "unit/scratch.h"

namespace sluice::server {
namespace {

namespace fs = std::filesystem;

TEST(StateFolder, IsMadeForItsOwnerAloneAndHeldByOne) {
  const Scratch scratch;
  const std::string path = scratch.path() + "/a/state";
  {
    const auto first = StateFolder::take(path);
    ASSERT_TRUE(first.ok()) << first.status();
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
    const auto second = StateFolder::take(path);
    EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
    EXPECT_TRUE(StateFolder::check(path).ok()) << "a check asks whether it could be used, not who has it";
  }
  EXPECT_TRUE(StateFolder::take(path).ok()) << "free once the first has gone";
}

TEST(StateFolder, ACheckLeavesNothingBehind) {
  const Scratch scratch;
  EXPECT_TRUE(StateFolder::check(scratch.path() + "/a/b/c").ok());
  EXPECT_FALSE(fs::exists(scratch.path() + "/a"));
  std::ofstream(scratch.path() + "/file") << "x";
  EXPECT_FALSE(StateFolder::check(scratch.path() + "/file").ok());
  EXPECT_FALSE(StateFolder::check(scratch.path() + "/file/state").ok());
  EXPECT_FALSE(StateFolder::take(scratch.path() + "/file/state").ok());
}

}  // namespace
}  // namespace sluice::server
