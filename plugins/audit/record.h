// From a call and how it ended to its record.
#pragma once

#include "journal/audit_record.h"
#include "policy/policy.h"

namespace sluice::plugins {

// Numbers, ids and names; allocates nothing.
[[nodiscard]] journal::AuditRecord make_record(const policy::Call& call, const policy::Outcome& outcome,
                                               std::uint64_t boot_id) noexcept;

}  // namespace sluice::plugins
