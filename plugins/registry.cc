#include "plugins/registry.h"

#include <algorithm>
#include <array>
#include <set>

#include "plugins/audit/audit.h"
#include "plugins/budget/budget.h"
#include "plugins/journal_entry/journal_entry.h"
#include "plugins/model_access/model_access.h"
#include "plugins/rate_limit/rate_limit.h"

namespace sluice::plugins {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<policy::Policy> (*make)(const PluginServices& services);
};

constexpr std::array kPolicies{
    Entry{"model_access", make_model_access},
    Entry{"rate_limit", make_rate_limit},
    Entry{"budget", make_budget},
    Entry{"audit", make_audit},
};

std::string allowed() {
  std::string text;
  for (const Entry& entry : kPolicies) text.append(text.empty() ? "" : ", ").append(entry.name);
  return text;
}

}  // namespace

std::vector<std::string_view> available() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kPolicies) names.push_back(entry.name);
  return names;
}

absl::StatusOr<std::unique_ptr<policy::Chain>> make_chain(std::span<const std::string> names,
                                                          const PluginServices& services) {
  std::vector<std::unique_ptr<policy::Policy>> policies;
  std::set<std::string_view> seen;
  for (const std::string& name : names) {
    const auto* entry =
        std::find_if(kPolicies.begin(), kPolicies.end(), [&](const Entry& e) { return e.name == name; });
    if (entry == kPolicies.end()) return absl::InvalidArgumentError("no policy '" + name + "'; there are " + allowed());
    if (!seen.insert(name).second) return absl::InvalidArgumentError("policy '" + name + "' is listed twice");
    policies.push_back(entry->make(services));
  }
  // Last, so that it journals what all others have admitted, with what they have reserved.
  if (services.journal != nullptr)
    policies.push_back(make_journal_entry(services, seen.contains("audit") ? Ends::kByAudit : Ends::kByJournal));
  return std::make_unique<policy::Chain>(std::move(policies));
}

}  // namespace sluice::plugins
