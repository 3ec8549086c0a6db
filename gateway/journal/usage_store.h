// What the journal asks of a store: it takes ended calls in batches, each once, and gives back the sums that budgets
// start from, and the seals.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "journal/audit_record.h"
#include "ledger/usage_sum.h"

namespace sluice::journal {

// What an ended call adds to the sums that `query` asks for; nothing: the query does not cover it. REQUIRES:
// query.scope.
[[nodiscard]] std::optional<ledger::UsageSum> share_of(const ledger::UsageQuery& query, const AuditRecord& record);

// The end of one journal segment, in a chain of HMACs.
struct Seal {
  std::uint64_t sequence = 0;                 // of the segment, rising without gaps
  std::uint64_t records = 0;                  // in it
  std::uint64_t tokens = 0, cost_micros = 0;  // that its settle records charge
  std::array<std::uint8_t, 32> mac{};
  bool operator==(const Seal&) const = default;
};

// Thread: one control thread at a time; may block.
class UsageStore {
 public:
  virtual ~UsageStore() = default;
  // One transaction: adds the records whose (boot_id, number) is not there yet, and for those, and only those, adds
  // tokens and cost to the sums of (day_us, tenant, user, key, model). A batch that comes twice changes nothing.
  [[nodiscard]] virtual absl::Status add(std::span<const AuditRecord> records) = 0;
  // One sum for each scope, id and model that the query covers and that has used something.
  [[nodiscard]] virtual absl::StatusOr<std::vector<ledger::UsageSum>> sums(const ledger::UsageQuery& query) = 0;
  // Idempotent on the sequence.
  [[nodiscard]] virtual absl::Status add_seal(const Seal& seal) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::vector<Seal>> seals() = 0;  // by sequence
};

}  // namespace sluice::journal
