// `sluice audit verify`: proves that the journal is whole, up to its last seal.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "config/policy_table.h"

namespace sluice::server {

enum class VerifyOutput : std::uint8_t { kText, kJson };

// Reads the journal and the seals in the store that the conf file names; may run beside the gateway. Prints what was
// found. `known_policies`: whose tables the file may have. Returns the exit code: 0 whole, 1 with one line for each fault.
int verify_audit(const std::string& conf_path, std::span<const config::KnownPolicy> known_policies,
                 VerifyOutput output);

}  // namespace sluice::server
