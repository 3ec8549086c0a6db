#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "identity/agent_book.h"
#include "identity/gateway_ca.h"
#include "unit/scratch.h"

namespace sluice::identity {
namespace {

TEST(AgentBook, KnowsLiveAgentsOnly) {
  AgentBook book;
  book.put({.id = 7, .name = "gpu1", .fingerprint = {}, .expires = {}, .created = {}});
  EXPECT_EQ(book.live(7)->name, "gpu1");
  EXPECT_FALSE(book.live(8).has_value());
  EXPECT_TRUE(book.revoke(7));
  EXPECT_FALSE(book.revoke(8));
  EXPECT_FALSE(book.live(7).has_value());
  EXPECT_EQ(book.all().size(), 1u);
}

TEST(AgentBook, NamesGoThereAndBack) {
  EXPECT_EQ(agent_name(0x1f), "agent_000000000000001f");
  EXPECT_EQ(parse_agent_name(agent_name(0xfedcba9876543210)), 0xfedcba9876543210u);
  for (const char* bad :
       {"", "agent_", "agent_1f", "agent_000000000000001g", "agent_+00000000000001f", "agent_000000000000001f0"})
    EXPECT_FALSE(parse_agent_name(bad).has_value()) << bad;
}

struct GatewayCaTest : testing::Test {
  Scratch scratch;
  const std::string key = scratch.file("ca-key.pem");
  const std::string certificate = scratch.file("ca-certificate.pem");
};

TEST_F(GatewayCaTest, IsMadeOnceAndReadAfterwards) {
  const auto first = GatewayCa::open(scratch.path());
  ASSERT_TRUE(first.ok()) << first.status();
  struct stat info {};
  ASSERT_EQ(::stat(key.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto second = GatewayCa::open(scratch.path());
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(first->certificate(), second->certificate());
}

TEST_F(GatewayCaTest, SignsWhatAnAgentAsksForUnderOurName) {
  const auto ca = GatewayCa::open(scratch.path());
  const auto request = net::create_request("whatever it claims to be");
  ASSERT_TRUE(request.ok());
  const auto signed_certificate = ca->sign(request->request, agent_name(5), std::chrono::hours(1));
  ASSERT_TRUE(signed_certificate.ok()) << signed_certificate.status();
  EXPECT_EQ(net::read_certificate(*signed_certificate)->common_name, agent_name(5));
  EXPECT_FALSE(ca->sign("nonsense", agent_name(5), std::chrono::hours(1)).ok());
}

TEST_F(GatewayCaTest, AKeyThatOthersMayReadOrThatIsLostIsNotReplaced) {
  const auto ca = GatewayCa::open(scratch.path());
  ASSERT_TRUE(ca.ok());
  ::chmod(key.c_str(), 0640);
  EXPECT_NE(std::string(GatewayCa::open(scratch.path()).status().message()).find("chmod 600"), std::string::npos);
  std::filesystem::remove(key);
  EXPECT_NE(std::string(GatewayCa::open(scratch.path()).status().message()).find("is missing"), std::string::npos);
  std::filesystem::remove(certificate);
  const auto fresh = GatewayCa::open(scratch.path());
  ASSERT_TRUE(fresh.ok());
  EXPECT_NE(fresh->certificate(), ca->certificate());
}

}  // namespace
}  // namespace sluice::identity
