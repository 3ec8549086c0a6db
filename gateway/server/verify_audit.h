// `sluice audit verify`: proves that the journal is whole, up to its last seal.
#pragma once

#include <cstdint>
#include <string>

namespace sluice::server {

enum class VerifyOutput : std::uint8_t { kText, kJson };

// Reads the journal and the seals in the store that the conf file names; may run beside the gateway. Prints what was
// found. Returns the exit code: 0 whole, 1 with one line for each fault.
int verify_audit(const std::string& conf_path, VerifyOutput output);

}  // namespace sluice::server
