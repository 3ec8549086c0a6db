// `sluice serve`: from a conf file to a gateway that runs.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "ledger/ledger.h"
#include "policy/policy.h"
#include "server/accounting.h"

namespace sluice::server {

// What main gives: the policies that exist, which nobody else sees.
struct PolicyMaker {
  std::vector<config::KnownPolicy> known;
  // Of those that [policies] order names, with their settings, and what each has kept since the start.
  std::function<absl::StatusOr<std::unique_ptr<policy::Chain>>(const config::Settings& settings, ledger::Ledger& ledger,
                                                               Accounting& accounting, std::uint64_t boot_id,
                                                               policy::KeptState& kept)>
      make;
};

// Runs the gateway until SIGTERM or SIGINT. Returns the exit code: 1 where it could not start, and then one line on
// standard error says why and what to do.
int serve(const std::string& conf_path, const PolicyMaker& policies);

}  // namespace sluice::server
