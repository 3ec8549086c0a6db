// Who a caller is: tenants, users and API keys in memory, looked up by the SHA-256 of the key.
//
// A request never waits for a database: the control thread loads the directory at start and changes it when the admin
// API says so; workers read it without a lock. Entries are immutable but for their atomics and live as long as the
// directory, so a running call may keep a pointer; a revoked key costs its entry's memory until the next start.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "identity/sha256.h"

namespace sluice::identity {

// A budget of one user on one model, or of one model.
struct ModelBudget {
  std::string model;
  BudgetSpec budget;
  bool operator==(const ModelBudget&) const = default;
};

// What may be limited about a tenant, user or key. Immutable; a change puts a new one in its place.
struct Allowance {
  LimitSpec limits;
  std::vector<BudgetSpec> budgets;
  std::vector<ModelBudget> model_budgets;  // users only: user-on-model
  bool operator==(const Allowance&) const = default;
};

// What tenants, users and keys have in common.
// Thread: everything from any thread, but for allow(), which the directory alone calls.
class Subject {
 public:
  // The allowance of this moment. It changes while calls run, so a caller that reads twice may see two; compare the
  // address to learn whether it changed. Valid for the directory's life.
  [[nodiscard]] const Allowance& allowance() const noexcept { return *allowance_.load(std::memory_order_acquire); }
  [[nodiscard]] const LimitSpec& limits() const noexcept { return allowance().limits; }
  [[nodiscard]] const std::vector<BudgetSpec>& budgets() const noexcept { return allowance().budgets; }
  [[nodiscard]] const std::vector<ModelBudget>& model_budgets() const noexcept { return allowance().model_budgets; }

  std::atomic<bool> revoked{false};

 protected:
  Subject() noexcept : allowance_(&nothing()) {}

 private:
  friend class KeyDirectory;
  [[nodiscard]] static const Allowance& nothing() noexcept;
  void allow(const Allowance* allowance) noexcept { allowance_.store(allowance, std::memory_order_release); }

  std::atomic<const Allowance*> allowance_;
};

struct Tenant : Subject {
  std::uint64_t id = 0;     // opaque, the store's row
  std::uint32_t index = 0;  // dense, from 0 in load order: where the ledger keeps this tenant's counters
  std::string name;
};

struct User : Subject {
  std::uint64_t id = 0;
  std::uint32_t index = 0;
  const Tenant* tenant = nullptr;
  std::string name;
};

struct Key;

inline constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

// What a caller shows of a key. A key that was rotated has two for a while, so that nobody has to change at one moment.
struct KeySecret {
  Sha256 hash{};
  const Key* key = nullptr;
  std::atomic<std::int64_t> until_us{kForever};  // since 1970; from then on it is refused
};

struct Key : Subject {
  std::uint64_t id = 0;
  std::uint32_t index = 0;
  const User* user = nullptr;
  KeySecret first;  // the newest when the key came into memory
  std::atomic<bool> suspended{false};

  // Allowed model names; empty: every model. It may change while calls run; what was returned stays valid for the
  // directory's life.
  [[nodiscard]] const std::vector<std::string>& models() const noexcept {
    return *models_.load(std::memory_order_acquire);
  }

  // Not revoked (nor its user or tenant), not expired, not suspended.
  [[nodiscard]] bool live(WallTime now) const noexcept {
    return !gone(now) && !suspended.load(std::memory_order_acquire);
  }
  // Revoked or expired: it never comes back.
  [[nodiscard]] bool gone(WallTime now) const noexcept;
  [[nodiscard]] bool may_use(std::string_view model) const noexcept;

 private:
  friend class KeyDirectory;
  [[nodiscard]] static const std::vector<std::string>& every_model() noexcept;

  std::atomic<std::int64_t> expires_us_{kForever};
  std::atomic<const std::vector<std::string>*> models_{&every_model()};
  KeySecret* newest_ = &first;     // control thread
  KeySecret* replaced_ = nullptr;  // by it; null: there is none. Control thread
};

// The look-up that workers do.
// Thread:   find() from any thread, lock-free; the rest from the control thread.
// Lifetime: pointers stay valid until the directory dies.
class Directory {
 public:
  virtual ~Directory() = default;
  // `credential` as the caller sent it. Errors: kInvalidKey (wrong form or checksum, unknown, revoked, expired, suspended),
  // kUnavailable while the store has not been loaded.
  [[nodiscard]] virtual Result<const Key*> find(std::string_view credential, WallTime now) const noexcept = 0;
  // Whether the store has been loaded. Thread: any.
  [[nodiscard]] virtual bool is_loaded() const noexcept = 0;
};

}  // namespace sluice::identity
