// Calendar periods of budgets: which day or month, in UTC or a named zone, a moment belongs to.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <limits>

#include "base/clock.h"
#include "base/limits.h"

namespace sluice::ledger {

// [begin, end) in microseconds since the epoch. Of kTotal: everything.
struct Period {
  std::int64_t begin_us = std::numeric_limits<std::int64_t>::min();
  std::int64_t end_us = std::numeric_limits<std::int64_t>::max();
  [[nodiscard]] bool contains(std::int64_t us) const noexcept { return us >= begin_us && us < end_us; }
  bool operator==(const Period&) const = default;
};

[[nodiscard]] inline std::int64_t to_us(WallTime time) noexcept { return time.time_since_epoch().count(); }

// A day of 23 or 25 hours is one day: the borders are the zone's midnights.
[[nodiscard]] Period period_of(BudgetPeriod period, WallTime now, const absl::TimeZone& zone);

// Days since 1970-01-01 of the civil day in the zone: the grain in which the store sums use.
[[nodiscard]] std::int32_t civil_day(WallTime now, const absl::TimeZone& zone);

}  // namespace sluice::ledger
