// Pairing, renewal and revocation of agents: the one place where the CA signs.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "identity/agent_book.h"
#include "identity/gateway_ca.h"
#include "identity/secret_key.h"
#include "store/revocation_log.h"
#include "store/store.h"

namespace sluice::admin {

// Thread:   control thread; calls block on the store and on signing.
// Lifetime: all that it is given outlives it.
class Agents final {
 public:
  struct Times {
    std::chrono::milliseconds key_lifetime{std::chrono::minutes(15)};
    std::chrono::milliseconds certificate_lifetime{std::chrono::hours(24 * 30)};
  };
  Agents(store::Store& store, identity::AgentBook& book, const identity::GatewayCa& ca, const Clock& clock, Times times)
      : store_(store), book_(book), ca_(ca), clock_(clock), times_(times) {}

  // Fills the book, and remembers the pairing keys that are good.
  absl::Status load();
  // Where revocations are written down as well: no backup holds them. Lifetime: outlives this.
  void keep_revocations(store::RevocationLog* log) noexcept { revocations_ = log; }
  void set_times(Times times) noexcept { times_ = times; }

  struct PairingKey {
    identity::SecretText secret;  // shown once
    WallTime expires;
  };
  // The agent that uses it will be bound so.
  absl::StatusOr<PairingKey> create_pairing_key(const identity::Binding& binding);

  // Whether it is one that was made and not used, for all that memory knows.
  [[nodiscard]] bool knows(std::string_view pairing_key) const;

  struct Paired {
    std::string agent_id;
    std::string certificate;  // PEM
    std::string ca;           // PEM, of agents' certificates
  };
  // kPermissionDenied: the pairing key is unknown, used or expired (one message for all). kInvalidArgument: the request
  // or the name is wrong; the key is not consumed. A key that is not known costs a look into memory: nothing is signed,
  // checked or asked of the store for it.
  absl::StatusOr<Paired> pair(std::string_view pairing_key, std::string_view csr, std::string_view name);
  // A new certificate (PEM) for an agent. kPermissionDenied: it is not, or no longer, one of ours.
  absl::StatusOr<std::string> renew(std::string_view agent_id, std::string_view csr);

  // `cut` is called once the book refuses the agent: it ends its tunnels. Returns when that is done.
  absl::Status revoke(std::string_view agent_id, const std::function<void(const std::string& agent_id)>& cut);

  absl::Status remember(std::string_view agent_id, std::span<const std::string> models);

 private:
  absl::StatusOr<std::string> issue(std::uint64_t id, std::string_view csr);

  store::Store& store_;
  identity::AgentBook& book_;
  const identity::GatewayCa& ca_;
  const Clock& clock_;
  Times times_;
  store::RevocationLog* revocations_ = nullptr;
  std::set<identity::Sha256> pairing_keys_;  // made and not used; the store knows which have expired
};

}  // namespace sluice::admin
