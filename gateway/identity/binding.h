// What an agent may serve, and for whom: said by whoever made its pairing key. Agents are other people's machines.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::identity {

// The longest name of a model that an agent may be bound to, or offer. A longer one is left out wherever it comes from,
// never cut: what is left of it would name another model.
inline constexpr std::size_t kModelNameBytes = 256;

enum class BoundModels : std::uint8_t {
  kAsBefore,  // paired before there were bindings: the models that it served last
  kListed,
  kAny,
};

struct Binding {
  BoundModels which = BoundModels::kAny;
  std::vector<std::string> models;     // sorted; for kAny none
  std::vector<std::uint64_t> tenants;  // their ids; empty: every tenant
  bool operator==(const Binding&) const = default;

  [[nodiscard]] bool allows(std::string_view model) const noexcept {
    return which == BoundModels::kAny || std::binary_search(models.begin(), models.end(), model);
  }
  [[nodiscard]] bool serves(std::uint64_t tenant_id) const noexcept {
    return tenants.empty() || std::ranges::find(tenants, tenant_id) != tenants.end();
  }
};

}  // namespace sluice::identity
