// Routes: what the conf says of where the calls of a model go, made into ranks of the places that there are. Done on the
// control thread, for every known model, whenever places come or go; a call reads what came of it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/route_text.h"
#include "upstream/models.h"

namespace sluice::upstream {

// One [[routes]] of the conf; tags are upstreams by now.
struct RouteRule {
  std::string model;  // with a * for any text
  std::vector<std::string> tenants;
  std::vector<std::vector<config::RouteOption>> ranks;  // empty: all places in one
  std::vector<std::string> fallback;
};

// The rules that count for a model, in their order: `name` is what clients call it, `target` what places do, whose rules
// count where the name has none. `name_of`: of a direct upstream by its number.
// Pure.
[[nodiscard]] std::vector<Ranks> resolve_routes(std::span<const RouteRule> rules, std::string_view name,
                                                std::string_view target, const KnownModel& model,
                                                const std::function<std::string_view(std::uint32_t)>& name_of);

}  // namespace sluice::upstream
