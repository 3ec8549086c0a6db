// Who gets more of the slots that calls wait for, or gets them sooner: [[share]] of the conf.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/queue_share.h"
#include "base/text.h"
#include "policy/policy.h"

namespace sluice::proxy {

// Thread: immutable once made. Asked for calls that wait alone.
class QueueShares final {
 public:
  void add_key(std::uint64_t id, QueueShare share) { keys_.insert_or_assign(id, share); }
  // Of one user, or of each that has no share of its own.
  void add_user(std::string_view tenant, std::string_view user, QueueShare share) {
    tenants_[std::string(tenant)].users.insert_or_assign(std::string(user), share);
  }
  void add_tenant(std::string_view tenant, QueueShare share) { tenants_[std::string(tenant)].each = share; }
  void set_others(QueueShare share) noexcept { others_ = share; }

  // What stands closest to the call counts: its key, then its user, then its tenant.
  [[nodiscard]] QueueShare of(const policy::Caller& caller) const noexcept {
    if (const auto key = keys_.find(caller.key_id); key != keys_.end()) return key->second;
    const auto tenant = tenants_.find(caller.tenant);
    if (tenant == tenants_.end()) return others_;
    const auto user = tenant->second.users.find(caller.user);
    return user != tenant->second.users.end() ? user->second : tenant->second.each.value_or(others_);
  }

 private:
  struct Tenant {
    std::optional<QueueShare> each;
    NameMap<QueueShare> users;
  };
  std::unordered_map<std::uint64_t, QueueShare> keys_;
  NameMap<Tenant> tenants_;
  QueueShare others_;
};

}  // namespace sluice::proxy
