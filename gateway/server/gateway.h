// The gateway as a whole: made from a conf file, run until it is told to stop, changed while it runs by a reload.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "identity/key_directory.h"
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

// `sluice serve`: runs the gateway until SIGTERM or SIGINT. Returns the exit code; what went wrong is on standard
// error.
int serve(const std::string& conf_path, const PolicyMaker& policies);

}  // namespace sluice::server
