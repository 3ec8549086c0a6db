// Who asks the admin API for something, and what they may do there.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

namespace sluice::admin {

// What a route may need. Each row of the route table names one.
enum class Right : std::uint16_t {
  kWatch = 1u << 0,          // how the gateway is: status, models, metrics
  kOperate = 1u << 1,        // reload, drain, resume, backup
  kReadCallers = 1u << 2,    // tenants, users, keys (never their secrets), budgets and what stands in a call's way
  kManageCallers = 1u << 3,  // make, change and revoke them
  kReadAgents = 1u << 4,
  kManageAgents = 1u << 5,  // pair and revoke them
  kReadAudit = 1u << 6,
  kManageSecrets = 1u << 7,  // set and remove providers' keys, and see which there are; nobody reads their values
};

// Thread: any; constant once made.
class Principal final {
 public:
  // The user that the gateway runs as, or root, at the Unix socket: may do everything.
  [[nodiscard]] static Principal socket_owner(std::uint32_t uid) {
    return {"uid " + std::to_string(uid), static_cast<std::uint16_t>(~0u)};
  }
  Principal(std::string name, std::initializer_list<Right> rights) : name_(std::move(name)) {
    for (const Right right : rights) rights_ |= static_cast<std::uint16_t>(right);
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }  // for people: "uid 1000"
  [[nodiscard]] bool may(Right right) const noexcept { return (rights_ & static_cast<std::uint16_t>(right)) != 0; }

 private:
  Principal(std::string name, std::uint16_t rights) : name_(std::move(name)), rights_(rights) {}

  std::string name_;
  std::uint16_t rights_ = 0;
};

}  // namespace sluice::admin
