// Who a caller is: tenants, users and API keys in memory, looked up by the SHA-256 of the key.
//
// A request never waits for a database: the control thread loads the directory at start and changes it when the admin API
// says so; workers read it without a lock. Entries are immutable but for their atomics and live as long as the directory,
// so a running call may keep a pointer; a revoked key costs its entry's memory until the next start.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"

namespace sluice::identity {

using Sha256 = std::array<std::uint8_t, 32>;

struct Tenant {
  std::uint64_t id = 0;     // opaque, the store's row
  std::uint32_t index = 0;  // dense, from 0 in load order: where the ledger keeps this tenant's counters
  std::string name;
  std::atomic<bool> revoked{false};
};

struct User {
  std::uint64_t id = 0;
  std::uint32_t index = 0;
  const Tenant* tenant = nullptr;
  std::string name;
  std::atomic<bool> revoked{false};
};

struct Key {
  std::uint64_t id = 0;
  std::uint32_t index = 0;
  const User* user = nullptr;
  Sha256 hash{};
  std::optional<WallTime> expires;
  std::vector<std::string> models;  // allowed model names; empty: every model
  std::atomic<bool> revoked{false};

  [[nodiscard]] bool live(WallTime now) const noexcept;      // not revoked (nor its user or tenant), not expired
  [[nodiscard]] bool may_use(std::string_view model) const noexcept;
};

// The look-up that workers do.
// Thread:   find() from any thread, lock-free; the rest from the control thread.
// Lifetime: pointers stay valid until the directory dies.
class Directory {
 public:
  virtual ~Directory() = default;
  // `credential` as the caller sent it. Errors: kInvalidKey (wrong form or checksum, unknown, revoked, expired), kUnavailable while
  // the store has not been loaded.
  [[nodiscard]] virtual Result<const Key*> find(std::string_view credential, WallTime now) const noexcept = 0;
};

}  // namespace sluice::identity
