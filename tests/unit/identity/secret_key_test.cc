#include "identity/secret_key.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "identity/sha256.h"

namespace sluice::identity {
namespace {

TEST(SecretKey, ANewKeyIsWellFormedAndHashed) {
  const NewSecret secret = create_secret(kApiKeyPrefix);
  EXPECT_EQ(secret.text.size(), 43u);
  EXPECT_TRUE(secret.text.starts_with("sk-sluice-"));
  EXPECT_EQ(check_form(secret.text, kApiKeyPrefix), SecretForm::kGood);
  EXPECT_EQ(secret.hash, sha256(secret.text));
  EXPECT_EQ(secret.hint.size(), kApiKeyPrefix.size() + 4 + std::string("…").size());
}

TEST(SecretKey, NoTwoKeysAreAlike) {
  std::set<Sha256> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(create_secret(kApiKeyPrefix).hash);
  EXPECT_EQ(seen.size(), 10'000u);
}

TEST(SecretKey, EveryWrongCharacterIsToldApart) {
  const std::string good(std::string_view(create_secret(kApiKeyPrefix).text));
  for (std::size_t i = kApiKeyPrefix.size(); i < good.size(); ++i) {
    for (const char c : {'0', 'z', '-', ' ', '\xc3'}) {
      std::string bad = good;
      if (bad[i] == c) continue;
      bad[i] = c;
      EXPECT_EQ(check_form(bad, kApiKeyPrefix), SecretForm::kMistyped) << i;
    }
  }
  for (std::size_t i = kApiKeyPrefix.size() + 1; i < good.size(); ++i) {
    std::string bad = good;
    if (bad[i] == bad[i - 1]) continue;
    std::swap(bad[i], bad[i - 1]);
    EXPECT_EQ(check_form(bad, kApiKeyPrefix), SecretForm::kMistyped) << "two characters swapped at " << i;
  }
}

TEST(SecretKey, CutOrForeignTextIsRefused) {
  const std::string good(std::string_view(create_secret(kApiKeyPrefix).text));
  EXPECT_EQ(check_form(good.substr(0, good.size() - 1), kApiKeyPrefix), SecretForm::kMistyped);
  EXPECT_EQ(check_form(good + "A", kApiKeyPrefix), SecretForm::kMistyped);
  EXPECT_EQ(check_form("sk-sluice-", kApiKeyPrefix), SecretForm::kMistyped);
  EXPECT_EQ(check_form("", kApiKeyPrefix), SecretForm::kForeign);
  EXPECT_EQ(check_form("sk-proj-0123456789", kApiKeyPrefix), SecretForm::kForeign);
  EXPECT_EQ(check_form(create_secret(kPairingKeyPrefix).text, kApiKeyPrefix), SecretForm::kForeign);
}

TEST(Sha256, MatchesTheStandardsExample) {
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace sluice::identity
