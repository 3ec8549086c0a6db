// Writes every admitted call into the usage journal before its first byte goes upstream, and again as it streams. Not
// listed in the conf: where there is a journal, it stands behind the policies that are.
#pragma once

#include <memory>

#include "plugins/services.h"
#include "policy/policy.h"

namespace sluice::plugins {

// Whether another policy hands the ends of calls to the journal.
enum class Ends : std::uint8_t { kByAudit, kByJournal };

// REQUIRES: services.journal.
[[nodiscard]] std::unique_ptr<policy::Policy> make_journal_entry(const PluginServices& services, Ends ends);

}  // namespace sluice::plugins
