// Every model that is known at one moment, and where it is served: made on the control thread, used by all workers.
#pragma once

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
  std::vector<std::shared_ptr<Place>> places;  // on agents; all workers use the same
  std::vector<std::uint32_t> upstreams;        // direct ones by their number: each worker has its own place for each
};

// Thread:   any; it is never changed.
// Lifetime: names are views into `known`.
struct Models {
  NameMap<KnownModel> known;
  std::vector<std::string_view> names;  // sorted
  bool learning = false;                // some upstream has not said yet what it serves
};

}  // namespace sluice::upstream
