// Which endpoints an agent takes calls of, by its answer to a hello.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dialect/endpoint.h"
#include "tunnel/control.h"

namespace sluice::tunnel {

// What a gateway with these endpoints names in its hello.
[[nodiscard]] std::vector<std::string> offered_endpoints(std::span<const dialect::Endpoint> endpoints);

// A bit for each that the agent takes, by its place in the table. An agent that says nothing of it takes what every agent
// takes. REQUIRES: at most 64 endpoints.
[[nodiscard]] std::uint64_t taken_endpoints(std::span<const dialect::Endpoint> endpoints, const HelloAnswer& answer);

// A bit for each that stands in `names`, by its place in the table.
[[nodiscard]] std::uint64_t named_endpoints(std::span<const dialect::Endpoint> endpoints,
                                            const std::vector<std::string>& names);

}  // namespace sluice::tunnel
