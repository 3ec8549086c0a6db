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

namespace sluice::upstream {

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
};

// Thread:   any; it is never changed.
// Lifetime: not moved: `sorted` points into `known`.
struct Models {
  NameMap<KnownModel> known;
  using Entry = decltype(known)::value_type;
  std::vector<const Entry*> sorted;  // by name
  bool learning = false;             // some upstream has not said yet what it serves
};

}  // namespace sluice::upstream
