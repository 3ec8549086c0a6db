// What the program hands to policies.
#pragma once

#include <cstdint>

#include "journal/audit_record.h"
#include "journal/journal.h"
#include "ledger/ledger.h"

namespace sluice::plugins {

// Lifetime: everything outlives every chain made from it.
struct PluginServices {
  ledger::Ledger& ledger;
  journal::AuditSink& audit;  // with a journal: the journal itself
  std::uint64_t boot_id = 0;
  journal::Journal* journal = nullptr;  // null: calls are not journalled
};

}  // namespace sluice::plugins
