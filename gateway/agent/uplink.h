// One tunnel of the agent to a gateway: answers what the gateway asks of the agent itself and gives calls to the forwarder.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/credentials.h"
#include "agent/forwarder.h"
#include "agent/reporter.h"
#include "tunnel/agent_tunnel.h"
#include "tunnel/control.h"

namespace sluice::agent {

// What every uplink of the agent uses.
struct UplinkContext {
  net::Loop& loop;
  net::TaskGroup& tasks;
  Forwarder& forwarder;
  Reporter& reporter;
  Credentials& credentials;
  std::atomic<std::size_t>& buffered;
  tunnel::SessionOptions session;
};

// Thread:   owning worker only.
// Lifetime: shared by the coroutine that runs it, the one that keeps its place filled and the one that reports health,
//           any of which may be last.
class Uplink final : public tunnel::CallHandler, public std::enable_shared_from_this<Uplink> {
 public:
  // `changed` hears of hello, of the gateway having taken the tunnel up, of other models at the server, of a wish to
  // drain and of the end.
  Uplink(UplinkContext& context, std::shared_ptr<net::Signal> changed);

  Task<void> run(std::unique_ptr<net::Stream> stream);
  // GOAWAY; running calls finish.
  void leave() noexcept;
  void close() noexcept { tunnel_.close(); }

  [[nodiscard]] const std::optional<tunnel::Hello>& hello() const noexcept { return hello_; }
  // The gateway has said hello and asked for health, which it does once it sends calls: an older tunnel may leave.
  [[nodiscard]] bool taken_up() const noexcept { return hello_ && reports_; }
  [[nodiscard]] bool wants_replacement() const noexcept { return wants_replacement_; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] bool leaving() const noexcept { return tunnel_.leaving(); }

 private:
  void handle(tunnel::IncomingPtr call) noexcept override;
  void control(tunnel::IncomingPtr call);
  void say_hello(tunnel::IncomingPtr call);
  void renew(tunnel::IncomingPtr call);
  Task<void> report(std::shared_ptr<Uplink> self, tunnel::IncomingPtr call);

  UplinkContext& context_;
  std::shared_ptr<net::Signal> changed_;  // shared: whoever listens may stop before the tunnel has ended
  net::Signal health_wake_;
  tunnel::AgentTunnel tunnel_;
  std::optional<tunnel::Hello> hello_;
  bool reports_ = false;
  bool wants_replacement_ = false;
  bool ended_ = false;
};

}  // namespace sluice::agent
