#include "identity/agent_book.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ids.h"

namespace sluice::identity {
namespace {
constexpr std::string_view kPrefix = "agent_";
constexpr std::size_t kIdDigits = 16;
}  // namespace

std::string agent_name(std::uint64_t id) {
  std::array<char, kIdDigits> digits;
  return std::string(kPrefix) + std::string(write_hex(id, digits));
}

std::optional<std::uint64_t> parse_agent_name(std::string_view text) noexcept {
  if (!text.starts_with(kPrefix) || text.size() != kPrefix.size() + kIdDigits) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  std::uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return id;
}

void AgentBook::put(Agent agent) {
  const std::scoped_lock lock(mutex_);
  const std::uint64_t id = agent.id;
  agents_.insert_or_assign(id, std::move(agent));
}

std::optional<Agent> AgentBook::live(std::uint64_t id) const {
  const std::scoped_lock lock(mutex_);
  const auto found = agents_.find(id);
  if (found == agents_.end() || found->second.revoked || found->second.suspended) return std::nullopt;
  return found->second;
}

bool AgentBook::revoke(std::uint64_t id) {
  const std::scoped_lock lock(mutex_);
  const auto found = agents_.find(id);
  if (found == agents_.end()) return false;
  found->second.revoked = true;
  return true;
}

std::vector<Agent> AgentBook::all() const {
  std::vector<Agent> agents;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, agent] : agents_) agents.push_back(agent);
  }
  std::ranges::sort(agents, {}, [](const Agent& agent) { return std::pair(agent.created, agent.id); });
  return agents;
}

}  // namespace sluice::identity
