// What the program hands to policies.
#pragma once

#include <cstdint>
#include <span>

#include "journal/audit_record.h"
#include "journal/journal.h"
#include "ledger/ledger.h"
#include "policy/policy.h"
#include "policy/settings.h"

namespace sluice::plugins {

// Lifetime: everything outlives every chain made from it.
struct PluginServices {
  ledger::Ledger& ledger;
  journal::AuditSink& audit;  // with a journal: the journal itself
  std::uint64_t boot_id = 0;
  journal::Journal* journal = nullptr;            // null: calls are not journalled
  policy::KeptState* kept = nullptr;              // what outlives a reload; null: nothing does
  std::span<const config::PolicyTable> tables{};  // what the conf says of each policy that has settings
};

}  // namespace sluice::plugins
