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

constexpr std::array kPolicies{
    PolicyRow{"model_access", make_model_access},
    PolicyRow{"rate_limit", make_rate_limit},
    PolicyRow{"budget", make_budget},
    PolicyRow{"audit", make_audit},
};

std::string allowed(std::span<const PolicyRow> table) {
  std::string text;
  for (const PolicyRow& row : table) text.append(text.empty() ? "" : ", ").append(row.name);
  return text;
}

}  // namespace

std::span<const PolicyRow> rows() noexcept { return kPolicies; }

std::vector<config::KnownPolicy> known(std::span<const PolicyRow> table) {
  std::vector<config::KnownPolicy> known;
  for (const PolicyRow& row : table) known.push_back({row.name, row.settings_help, row.settings_defaults});
  return known;
}

absl::StatusOr<std::unique_ptr<policy::Chain>> make_chain(std::span<const std::string> names,
                                                          const PluginServices& services,
                                                          std::span<const PolicyRow> table) {
  std::vector<std::unique_ptr<policy::Policy>> policies;
  std::set<std::string_view> seen;
  for (const std::string& name : names) {
    const auto row = std::ranges::find(table, name, &PolicyRow::name);
    if (row == table.end()) return absl::InvalidArgumentError("no policy '" + name + "'; there are " + allowed(table));
    if (!seen.insert(name).second) return absl::InvalidArgumentError("policy '" + name + "' is listed twice");
    policies.push_back(row->make(services));
  }
  // Last, so that it journals what all others have admitted, with what they have reserved.
  if (services.journal != nullptr)
    policies.push_back(make_journal_entry(services, seen.contains("audit") ? Ends::kByAudit : Ends::kByJournal));
  return std::make_unique<policy::Chain>(std::move(policies));
}

}  // namespace sluice::plugins
