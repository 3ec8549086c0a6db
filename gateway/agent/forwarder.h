// Takes calls from tunnels to the model server and streams the answers back.
#pragma once

#include <memory>

#include "agent/backend.h"
#include "agent/forwarded_calls.h"
#include "tunnel/agent_tunnel.h"
#include "tunnel/control.h"

namespace sluice::agent {

// Thread:   owning worker only.
// Lifetime: backend, reporter, calls and task group outlive it.
// Cancel:   a call that the gateway gives up closes its connection to the model server in the next turn.
class Forwarder final {
 public:
  Forwarder(net::Loop& loop, net::TaskGroup& tasks, Backend& backend, Reporter& reporter, const ForwardedCalls& calls)
      : loop_(loop), tasks_(tasks), backend_(backend), reporter_(reporter), calls_(calls) {}

  void take(tunnel::IncomingPtr call);
  // Which calls it takes.
  [[nodiscard]] const ForwardedCalls& calls() const noexcept { return calls_; }

 private:
  Task<void> forward(tunnel::IncomingPtr call);
  Task<void> wait_for_look(http::Incoming& call, net::Signal& wake);

  net::Loop& loop_;
  net::TaskGroup& tasks_;
  Backend& backend_;
  Reporter& reporter_;
  const ForwardedCalls& calls_;
};

}  // namespace sluice::agent
