#include "agent/server_endpoints.h"

#include <algorithm>

namespace sluice::agent {

std::vector<dialect::Endpoint> asked_endpoints(std::span<const dialect::Endpoint> endpoints,
                                               const std::vector<std::string>& allowed) {
  std::vector<dialect::Endpoint> asked;
  for (const dialect::Endpoint& endpoint : endpoints) {
    const std::string call = std::string(endpoint.method).append(" ").append(endpoint.path);
    if (endpoint.servers_are_asked && std::ranges::find(allowed, call) == allowed.end()) asked.push_back(endpoint);
  }
  return asked;
}

}  // namespace sluice::agent
