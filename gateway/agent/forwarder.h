// Takes calls from tunnels to the model server and streams the answers back.
#pragma once

#include <memory>

#include "agent/backend.h"
#include "tunnel/agent_tunnel.h"
#include "tunnel/control.h"

namespace sluice::agent {

// Thread:   owning worker only.
// Lifetime: backend, reporter and task group outlive it.
// Cancel:   a call that the gateway gives up closes its connection to the model server in the next turn.
class Forwarder final {
 public:
  Forwarder(net::Loop& loop, net::TaskGroup& tasks, Backend& backend, Reporter& reporter)
      : loop_(loop), tasks_(tasks), backend_(backend), reporter_(reporter) {}

  void take(tunnel::IncomingPtr call);

 private:
  Task<void> forward(tunnel::IncomingPtr call);
  Task<void> wait_for_look(http::Incoming& call, net::Signal& wake);

  net::Loop& loop_;
  net::TaskGroup& tasks_;
  Backend& backend_;
  Reporter& reporter_;
};

// The only calls that reach a model server, whatever the gateway asks for: it may have administrative paths on the
// port.
[[nodiscard]] bool is_forwarded(std::string_view method, std::string_view path) noexcept;

}  // namespace sluice::agent
