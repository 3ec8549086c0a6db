#include <gtest/gtest.h>
#include <malloc.h>

#include <chrono>
#include <cstdio>

#include "identity/key_directory.h"
#include "identity/secret_key.h"

namespace sluice::identity {
namespace {

// Hashes of a counter stand for keys: drawing a million real ones would measure the random source.
Sha256 hash_of(std::uint64_t n) { return sha256({reinterpret_cast<const char*>(&n), sizeof n}); }

TEST(MillionKeys, LoadIntoMemoryAndAreAllFound) {
  constexpr std::uint64_t kKeys = 1'000'000;
  const auto before = ::mallinfo2();
  const auto began = std::chrono::steady_clock::now();
  KeyDirectory directory;
  directory.reserve(kKeys);
  Tenant& tenant = directory.add_tenant(1, "acme", {});
  const User* user = nullptr;
  for (std::uint64_t n = 0; n < kKeys; ++n) {
    if (n % 10 == 0) user = &directory.add_user(n + 1, tenant, "user", {});
    ASSERT_EQ(directory.add_key(
                  {.id = n + 1, .user = user, .hash = hash_of(n), .expires = {}, .models = {}, .allowance = {}}),
              Added::kYes);
  }
  directory.loaded();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  const auto after = ::mallinfo2();
  const double bytes = static_cast<double>(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd);
  std::printf("1,000,000 keys of 100,000 users: %.2f s, %.0f bytes a key\n", took.count(), bytes / kKeys);
  EXPECT_EQ(directory.keys(), kKeys);
  EXPECT_LE(directory.table_bytes(), 64u << 20);
  EXPECT_EQ(directory.key(kKeys)->index, kKeys - 1);
  for (std::uint64_t n = 0; n < kKeys; n += 997)
    EXPECT_EQ(
        directory.add_key(
            {.id = kKeys + n + 1, .user = user, .hash = hash_of(n), .expires = {}, .models = {}, .allowance = {}}),
        Added::kDuplicate)
        << "is found by its hash";
}

}  // namespace
}  // namespace sluice::identity
