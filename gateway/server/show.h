// What the admin API and the log show of a running gateway.
#pragma once

#include "base/json.h"
#include "server/accounting.h"
#include "server/outages.h"
#include "server/workers.h"
#include "tunnel/registry.h"

namespace sluice::server {

[[nodiscard]] inline bool connected(const tunnel::AgentView& agent) noexcept { return agent.tunnels != 0; }
// What a connected agent says of itself.
[[nodiscard]] json::object show(const tunnel::AgentView& agent);
// Models that calls wait for, whether for a slot or for a machine, and how many. REQUIRES: the workers run.
[[nodiscard]] json::object show_waiting(Workers& workers);
// Every model that a worker knows, and its free slots. REQUIRES: the workers run.
[[nodiscard]] json::array show_models(Workers& workers);
// What is wrong with direct upstreams now: "upstream", "trouble", "why", "seconds" of each.
[[nodiscard]] json::array show_troubles(std::initializer_list<const Outages*> of);
// Adds "journal", where there is one, and "audit".
void show(const Accounting& accounting, json::object& into);
[[nodiscard]] std::string show(const net::Endpoint& endpoint);
// What happened, for the log. Lifetime: of the status.
[[nodiscard]] inline std::string_view text_of(const absl::Status& status) noexcept {
  return {status.message().data(), status.message().size()};  // Debian's Abseil has a string_view of its own
}

}  // namespace sluice::server
