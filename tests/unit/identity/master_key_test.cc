// What is sealed opens for the same key, name and version alone.
#include "identity/master_key.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice::identity {
namespace {

const std::string kText = "0123456789abcdef0123456789abcdef";

TEST(MasterKey, OpensWhatItSealed) {
  const MasterKey key = *MasterKey::derive(kText);
  for (const std::string& text : {std::string("sk-provider"), std::string(5000, 'x'), std::string()}) {
    const std::string sealed = key.seal("openai", 3, text);
    EXPECT_EQ(sealed.size(), 12 + text.size() + 16);
    EXPECT_TRUE(text.empty() || sealed.find(text) == std::string::npos);
    EXPECT_EQ(std::string_view(key.open("openai", 3, sealed).value()), text);
    EXPECT_EQ(std::string_view(MasterKey::derive(kText)->open("openai", 3, sealed).value()), text);
  }
}

TEST(MasterKey, NothingElseOpensIt) {
  const MasterKey key = *MasterKey::derive(kText);
  const std::string sealed = key.seal("openai", 3, "sk-provider");
  EXPECT_FALSE(MasterKey::derive(kText + "x")->open("openai", 3, sealed));
  EXPECT_FALSE(key.open("openai", 2, sealed));
  EXPECT_FALSE(key.open("azure", 3, sealed));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string damaged = sealed;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(key.open("openai", 3, damaged)) << i;
    EXPECT_FALSE(key.open("openai", 3, sealed.substr(0, i))) << i;
  }
}

TEST(MasterKey, NoNonceIsUsedTwice) {
  const MasterKey key = *MasterKey::derive(kText);
  std::set<std::string> nonces;
  for (int i = 0; i < 1000; ++i) nonces.insert(key.seal("n", 1, "x").substr(0, 12));
  EXPECT_EQ(nonces.size(), 1000u);
}

TEST(MasterKey, AShortTextIsNone) { EXPECT_FALSE(MasterKey::derive(kText.substr(1)).ok()); }

}  // namespace
}  // namespace sluice::identity
