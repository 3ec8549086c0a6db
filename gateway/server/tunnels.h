// What ties tunnels to the rest: which agents may connect, how their certificates are renewed, and where pairing comes
// in.
#pragma once

#include <openssl/x509.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "admin/agents.h"
#include "base/held_bytes.h"
#include "http/incoming.h"
#include "identity/agent_book.h"
#include "net/task_group.h"
#include "net/turn.h"
#include "proxy/worker.h"
#include "server/workers.h"
#include "tunnel/registry.h"

namespace sluice::server {

// Where agents' matters are done: one at a time, behind a store that may have to be waited for (admin/store_lock.h).
struct ControlThread {
  net::Loop& loop;
  net::TaskGroup& tasks;
  store::Store& store;
};

// The agents' book as the registry sees it. Signing and storing are the control thread's.
// Thread:   any.
// Lifetime: outlives the registry; the control loop runs until the registry is closed.
class StoredAgents final : public tunnel::AgentDirectory {
 public:
  StoredAgents(ControlThread control, const identity::AgentBook& book, admin::Agents& agents,
               observe::Log& log) noexcept
      : control_(control), book_(book), agents_(agents), log_(log) {}

  [[nodiscard]] std::optional<tunnel::KnownAgent> find(X509& certificate) const noexcept override;
  void renew(const std::string& agent_id, std::string csr, Signed done) noexcept override;
  void remember(const std::string& agent_id, const std::vector<std::string>& models) noexcept override;

 private:
  Task<void> renew_when_free(std::string agent_id, std::string csr, Signed done);
  Task<void> remember_when_free(std::string agent_id, std::vector<std::string> models);
  void log_not_kept(const std::string& agent_id, const absl::Status& why) noexcept;

  ControlThread control_;
  const identity::AgentBook& book_;
  admin::Agents& agents_;
  observe::Log& log_;
};

// POST /.sluice/v1/pair on the API's port: {"pairing_key", "csr", "name"} → {"agent_id", "certificate", "ca",
// "gateways"}; errors as for every other path.
// Thread:   serve() on any worker; what it asks for runs on the control thread.
// Lifetime: outlives every connection.
class PairingEndpoint final {
 public:
  PairingEndpoint(const dialect::Table& dialects, ControlThread control, admin::Agents& agents, HeldBytes& held,
                  observe::Log& log) noexcept
      : dialects_(dialects), control_(control), agents_(agents), held_(held), log_(log) {}
  Task<Status> serve(proxy::Worker& worker, http::Incoming& client, const policy::Peer& peer);

 private:
  struct PairingRequest;
  Task<void> pair(std::shared_ptr<PairingRequest> request);  // on the control thread
  void log_refusal(const absl::Status& why) noexcept;        // on the control thread
  void log_paired(const std::string& agent_id) noexcept;
  Task<Status> refuse(http::Incoming& client, Error error, std::string_view message = {}) const;

  const dialect::Table& dialects_;
  ControlThread control_;
  admin::Agents& agents_;
  HeldBytes& held_;
  observe::Log& log_;
  std::atomic<unsigned> pairings_{0};                     // that the control thread has yet to answer
  net::Allowance refusals_{10, std::chrono::seconds(1)};  // that are logged; the control thread's
};

}  // namespace sluice::server
