// What the ledger asks of a store: it takes ended calls in batches, each once, and gives back the sums that budgets
// start from.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/limits.h"
#include "ledger/audit_record.h"

namespace sluice::ledger {

// What one scope has used since a day. Of kModel and kUserModel `model` is set; of kUserModel `id` is the user's.
struct UsageSum {
  Scope scope = Scope::kKey;
  std::uint64_t id = 0;
  std::string model;
  std::uint64_t tokens = 0;  // prompt + completion
  std::uint64_t cost_micros = 0;
};

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
  // Sums of all five scopes over records whose day_us is not before `since_day_us`.
  [[nodiscard]] virtual absl::StatusOr<std::vector<UsageSum>> sums(std::int64_t since_day_us) = 0;
  // Idempotent on the sequence.
  [[nodiscard]] virtual absl::Status add_seal(const Seal& seal) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::vector<Seal>> seals() = 0;  // by sequence
};

}  // namespace sluice::ledger
