// Names that callers choose and that leave towards an upstream: idempotency keys, sessions, cache keys. The upstream
// knows one key, the gateway's, so the "1" of two tenants would be one name there. Each leaves as
// HMAC-SHA-256(key, tenant | user | name), cut to 128 bits: the same for the same user, over restarts too, and nobody
// else's.
//
//   STATE/scope.key   0600   32 random bytes, made at the first start
#pragma once

#include <absl/status/statusor.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::identity {

// Thread: scoped() on any; immutable.
class ScopeKey final {
 public:
  static constexpr std::size_t kBytes = 32;
  static constexpr std::size_t kDigits = 32;

  // A random one, of this process alone.
  ScopeKey() noexcept;
  ~ScopeKey();
  ScopeKey(const ScopeKey&) noexcept = default;
  ScopeKey& operator=(const ScopeKey&) noexcept = default;

  // Reads the key of `state_dir`, or makes it. Error: it cannot, or the file is not a key of ours.
  [[nodiscard]] static absl::StatusOr<ScopeKey> open(const std::string& state_dir);

  // 32 hexadecimal digits in `into`.
  std::string_view scoped(std::uint64_t tenant_id, std::uint64_t user_id, std::string_view name,
                          std::span<char, kDigits> into) const noexcept;

 private:
  std::array<std::uint8_t, kBytes> key_;
};

}  // namespace sluice::identity
