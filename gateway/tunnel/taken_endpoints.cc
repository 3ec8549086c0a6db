#include "tunnel/taken_endpoints.h"

#include <algorithm>

namespace sluice::tunnel {
namespace {

using dialect::Agents;

bool takes(const dialect::Endpoint& endpoint, const HelloAnswer& answer) {
  if (endpoint.agents == Agents::kNone) return false;
  if (!answer.endpoints) return endpoint.agents == Agents::kEvery;
  if (std::ranges::find(*answer.endpoints, endpoint.name) != answer.endpoints->end()) return true;
  if (endpoint.work == dialect::Work::kStored) return false;  // an owner's path has no place for an id
  const std::string call = std::string(endpoint.method).append(" ").append(endpoint.path);
  return std::ranges::find(answer.allowed, call) != answer.allowed.end();
}

}  // namespace

std::vector<std::string> offered_endpoints(std::span<const dialect::Endpoint> endpoints) {
  std::vector<std::string> names;
  for (const dialect::Endpoint& endpoint : endpoints) {
    if (endpoint.agents != Agents::kNone) names.emplace_back(endpoint.name);
  }
  return names;
}

std::uint64_t taken_endpoints(std::span<const dialect::Endpoint> endpoints, const HelloAnswer& answer) {
  std::uint64_t taken = 0;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    if (takes(endpoints[i], answer)) taken |= std::uint64_t{1} << i;
  }
  return taken;
}

std::uint64_t named_endpoints(std::span<const dialect::Endpoint> endpoints, const std::vector<std::string>& names) {
  std::uint64_t named = 0;
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    if (std::ranges::find(names, endpoints[i].name) != names.end()) named |= std::uint64_t{1} << i;
  }
  return named;
}

}  // namespace sluice::tunnel
