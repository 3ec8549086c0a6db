// Which agents are ours, in memory. An agent's certificate names it by its id; every certificate of an agent that is
// not revoked is good until it expires, so that a renewal whose answer was lost locks nobody out.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "identity/binding.h"

namespace sluice::identity {

struct Agent {
  std::uint64_t id = 0;
  std::string name;         // for people
  std::string fingerprint;  // of its newest certificate
  WallTime expires;         // of that certificate
  WallTime created;
  bool revoked = false;
  bool suspended = false;  // until a person resumes it
  Binding binding{};
};

// "agent_1f2e3d4c5b6a7988": how certificates, the admin API and audit records name an agent.
[[nodiscard]] std::string agent_name(std::uint64_t id);
[[nodiscard]] std::optional<std::uint64_t> parse_agent_name(std::string_view text) noexcept;

// Thread:   any. A lock, held for a look-up: it is taken when a tunnel comes up, never for a request.
// Lifetime: outlives the tunnels.
class AgentBook final {
 public:
  // Adds or replaces.
  void put(Agent agent);
  // Nothing: unknown, revoked or suspended.
  [[nodiscard]] std::optional<Agent> live(std::uint64_t id) const;
  // Whether there was such an agent.
  bool revoke(std::uint64_t id);
  [[nodiscard]] std::vector<Agent> all() const;  // revoked ones too, the oldest first

 private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, Agent> agents_;
};

}  // namespace sluice::identity
