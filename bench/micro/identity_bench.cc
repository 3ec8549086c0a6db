// Looking a key up: its checksum, its SHA-256, its place in a directory of 1 to 1,000,000 keys.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "identity/key_directory.h"
#include "identity/secret_key.h"

namespace {

using namespace sluice;

struct Filled {
  identity::KeyDirectory directory;
  std::vector<identity::SecretText> asked;  // keys that are in it, spread over the whole
};

std::unique_ptr<Filled> fill(std::size_t keys) {
  auto filled = std::make_unique<Filled>();
  auto& directory = filled->directory;
  directory.reserve(keys);
  auto& tenant = directory.add_tenant(1, "bench", {});
  auto& user = directory.add_user(1, tenant, "bench", {});
  const std::size_t step = std::max<std::size_t>(keys / 4096, 1);
  for (std::size_t i = 0; i < keys; ++i) {
    identity::KeyDirectory::KeyEntry entry;
    entry.id = i + 1;
    entry.user = &user;
    if (i % step == 0) {
      identity::NewSecret secret = identity::create_secret(identity::kApiKeyPrefix);
      entry.hash = secret.hash;
      filled->asked.push_back(std::move(secret.text));
    } else {
      entry.hash = identity::sha256(std::to_string(i));
    }
    directory.add_key(std::move(entry));
  }
  directory.loaded();
  return filled;
}

void BM_FindKey(benchmark::State& state) {
  static std::unique_ptr<Filled> filled;
  static std::int64_t filled_keys = 0;
  if (filled_keys != state.range(0)) {
    filled = fill(static_cast<std::size_t>(state.range(0)));
    filled_keys = state.range(0);
  }
  const WallTime now = SystemClock().wall();
  std::size_t next = 0;
  for (auto _ : state) {
    const auto key = filled->directory.find(filled->asked[next], now);
    if (!key.has_value()) return state.SkipWithError("a key was not found");
    benchmark::DoNotOptimize(key);
    next = next + 1 == filled->asked.size() ? 0 : next + 1;
  }
}
BENCHMARK(BM_FindKey)->ArgName("keys")->Arg(1)->Arg(1'000)->Arg(1'000'000);

}  // namespace
