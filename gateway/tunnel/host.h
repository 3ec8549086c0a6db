// One worker's tunnels: runs their sessions, asks their agents how they are, and starts calls on them.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "net/task_group.h"
#include "tunnel/gateway_tunnel.h"
#include "tunnel/registry.h"

namespace sluice::tunnel {

class RemoteLink;

// Thread:   owning worker only, but for loop() and carry_later().
// Lifetime: as the registry.
class Host final {
 public:
  Host(Registry& registry, net::Loop& loop) noexcept;

  // Runs a tunnel that was assigned to this worker, until it ends.
  void adopt(std::unique_ptr<net::Stream> stream, AgentPtr agent);
  // Null: no tunnel of this worker has room now.
  [[nodiscard]] GatewayTunnel* tunnel_to(const Agent& agent) noexcept;
  // Runs a call of another worker on a tunnel of this one.
  void carry_later(std::shared_ptr<RemoteLink> link);

  void cut(const std::string& agent_id) noexcept;
  void drain() noexcept;
  // Each is replaced by one that is made anew.
  void replace_tunnels() noexcept;
  Task<void> close();
  [[nodiscard]] net::Loop& loop() noexcept { return loop_; }

 private:
  struct Link;

  Task<void> serve(std::unique_ptr<net::Stream> stream, AgentPtr agent);
  Task<void> control(Link& link);
  Task<void> follow_health(Link& link);
  Task<void> watch_over(Link& link);
  void go_up(Link& link) noexcept;
  void go_down(Link& link) noexcept;
  Task<void> renew(Link& link);
  // Asks the agent something small. Nothing: it did not answer 200 in time.
  Task<std::optional<std::string>> ask(Link& link, std::string_view path, std::string body);
  Task<void> carry(std::shared_ptr<RemoteLink> link);
  std::size_t take_lines(Link& link, http::OutgoingCall& call, std::size_t& unfinished);

  Registry& registry_;
  net::Loop& loop_;
  net::TaskGroup tasks_;
  std::list<Link*> links_;
  std::unordered_map<const Agent*, std::vector<GatewayTunnel*>> ready_;  // hello done
  bool closing_ = false;
};

}  // namespace sluice::tunnel
