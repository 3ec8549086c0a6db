// Names that callers choose, as an upstream sees them.
#include "identity/scope_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "unit/scratch.h"

namespace sluice::identity {
namespace {

std::string scoped(const ScopeKey& key, std::uint64_t tenant, std::uint64_t user, std::string_view name) {
  std::array<char, ScopeKey::kDigits> digits;
  return std::string(key.scoped(tenant, user, name, digits));
}

TEST(ScopeKey, TheNamesOfTwoCallersNeverMeet) {
  const ScopeKey key, other;
  const std::string one = scoped(key, 1, 1, "1");
  EXPECT_EQ(one.size(), 32u);
  EXPECT_EQ(one.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(one, scoped(key, 1, 1, "1"));
  EXPECT_NE(one, scoped(key, 2, 1, "1"));
  EXPECT_NE(one, scoped(key, 1, 2, "1"));
  EXPECT_NE(one, scoped(key, 1, 1, "2"));
  EXPECT_NE(one, scoped(other, 1, 1, "1"));
}

TEST(ScopeKey, IsTheSameAfterARestart) {
  const Scratch folder;
  const auto first = ScopeKey::open(folder.path());
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = ScopeKey::open(folder.path());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(scoped(*first, 1, 2, "a"), scoped(*second, 1, 2, "a"));
  struct stat info {};
  ASSERT_EQ(::stat((folder.path() + "/scope.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST(ScopeKey, AFileThatIsNoKeyOrThatOthersReadIsAnError) {
  const Scratch folder;
  const std::string path = folder.path() + "/scope.key";
  std::ofstream(path) << "short";
  ::chmod(path.c_str(), 0600);
  EXPECT_NE(ScopeKey::open(folder.path()).status().message().find("32 bytes"), absl::string_view::npos);
  std::ofstream(path) << std::string(32, 'k');
  ::chmod(path.c_str(), 0644);
  EXPECT_NE(ScopeKey::open(folder.path()).status().message().find("chmod 600"), absl::string_view::npos);
}

}  // namespace
}  // namespace sluice::identity
