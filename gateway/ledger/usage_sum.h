// What somebody has used, as a store sums it up: what budgets start from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/limits.h"
#include "ledger/period.h"

namespace sluice::ledger {

// What one scope has used since a day. Of kModel and kUserModel `model` is set; of kUserModel `id` is the user's.
struct UsageSum {
  Scope scope = Scope::kKey;
  std::uint64_t id = 0;
  std::string model;
  std::uint64_t tokens = 0;  // prompt + completion
  std::uint64_t cost_micros = 0;
};

// Whose use in which days is asked for.
struct UsageQuery {
  Period when{};                 // [begin, end) of the days to which calls were charged
  std::optional<Scope> scope{};  // nothing: all five, of everybody
  std::uint64_t id = 0;          // of kKey, kUser, kTenant; of kUserModel the user's, 0: every user
  std::string model{};           // of kModel, kUserModel
};

}  // namespace sluice::ledger
