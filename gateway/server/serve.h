// `sluice serve`: from a conf file to a gateway that runs.
#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ledger/ledger.h"
#include "policy/policy.h"
#include "server/accounting.h"

namespace sluice::server {

// What main gives: the policies that exist, which nobody else sees.
struct PolicyMaker {
  std::vector<std::string_view> available;
  std::function<absl::StatusOr<std::unique_ptr<policy::Chain>>(
      std::span<const std::string> names, ledger::Ledger& ledger, Accounting& accounting, std::uint64_t boot_id)>
      make;
};

// Runs the gateway until SIGTERM or SIGINT. Returns the exit code: 1 where it could not start, and then one line on
// standard error says why and what to do.
int serve(const std::string& conf_path, const PolicyMaker& policies);

}  // namespace sluice::server
