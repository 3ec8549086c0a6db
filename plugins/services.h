// What the program hands to policies.
#pragma once

#include <cstdint>

#include "ledger/audit_record.h"
#include "ledger/journal.h"
#include "ledger/ledger.h"

namespace sluice::plugins {

// Lifetime: everything outlives every chain made from it.
struct PluginServices {
  ledger::Ledger& ledger;
  ledger::AuditSink& audit;  // with a journal: the journal itself
  std::uint64_t boot_id = 0;
  ledger::Journal* journal = nullptr;  // null: calls are not journalled
};

}  // namespace sluice::plugins
