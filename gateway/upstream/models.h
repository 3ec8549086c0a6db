// Every model that is known at one moment, and where it is served: made on the control thread, used by all workers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "upstream/place.h"
#include "upstream/standing.h"

namespace sluice::upstream {

// How calls of some tenants find a place of one model: places in ranks, the first rank first.
struct Ranks {
  struct Option {
    std::uint32_t at = 0;     // the place, counted through `places` and then `upstreams` of the model
    std::uint32_t up_to = 0;  // its weight and those before it in its rank
  };
  struct Rank {
    std::vector<Option> options;
    bool weighted = false;  // else all weigh the same
  };
  std::vector<std::string> tenants;  // by name; empty: all
  std::vector<Rank> ranks;
  std::vector<std::string> fallback;  // models that serve where no place can
  [[nodiscard]] bool is_for(std::string_view tenant) const noexcept {
    return tenants.empty() || std::ranges::find(tenants, tenant) != tenants.end();
  }
};

// One model. Without any place it is known and served by nobody now.
struct KnownModel {
  // Who knows it: all, where the conf, an upstream or an agent that is bound to no tenant names it.
  bool everyone = false;
  std::vector<std::uint64_t> tenants;  // else those that agents are bound to
  [[nodiscard]] bool known_to(std::uint64_t tenant_id) const noexcept {
    return everyone || std::ranges::find(tenants, tenant_id) != tenants.end();
  }

  std::vector<std::shared_ptr<Place>> places;  // on agents; all workers use the same
  std::vector<std::uint32_t> upstreams;        // direct ones by their number: each worker has its own place for each
  std::vector<std::shared_ptr<Standing>> standings = {};  // of `places`, then of `upstreams`; none: nobody keeps any
  std::vector<Ranks> routes = {};  // the first that is for a tenant counts; none: all in one rank
};

// Thread:   any; it is never changed.
// Lifetime: not moved: `sorted` points into `known`.
struct Models {
  NameMap<KnownModel> known;
  using Entry = decltype(known)::value_type;
  std::vector<const Entry*> sorted;  // by name
  bool learning = false;             // some upstream has not said yet what it serves
  bool routed = false;               // the conf has routes
};

}  // namespace sluice::upstream
