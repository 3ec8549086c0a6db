// What places have refused: members that we add to calls, and endpoints that they turned out not to have. Learnt from
// their refusals, and forgotten after a while.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/cap_member.h"
#include "base/clock.h"
#include "base/text.h"

namespace sluice::upstream {

// A bounded table, by place and model.
// Thread: owning worker only.
class RefusedMembers final {
 public:
  struct Known {
    bool usage_refused = false;        // stream_options is not to be added
    CapMember cap = CapMember::kAuto;  // the name that was taken
    std::uint64_t lacks = 0;           // a bit for each endpoint, by its number in the table of dialects
  };
  [[nodiscard]] Known find(std::string_view place, std::string_view model, MonoTime now) const;
  // Adds what `known` says to what is known already, until `until`. Where the table is full, another entry goes.
  void learn(std::string_view place, std::string_view model, Known known, MonoTime now, MonoTime until);

 private:
  static constexpr std::size_t kMost = 1024;
  struct Entry {
    Known known;
    MonoTime until;
  };
  NameMap<Entry> entries_;
};

}  // namespace sluice::upstream
