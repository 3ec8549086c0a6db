#include "ledger/period.h"

#include <absl/time/civil_time.h>

namespace sluice::ledger {
namespace {

Period between(absl::CivilSecond begin, absl::CivilSecond end, const absl::TimeZone& zone) {
  return {absl::ToUnixMicros(absl::FromCivil(begin, zone)), absl::ToUnixMicros(absl::FromCivil(end, zone))};
}

}  // namespace

Period period_of(BudgetPeriod period, WallTime now, const absl::TimeZone& zone) {
  const absl::Time time = absl::FromUnixMicros(to_us(now));
  switch (period) {
    case BudgetPeriod::kDay: {
      const absl::CivilDay day = absl::ToCivilDay(time, zone);
      return between(absl::CivilSecond(day), absl::CivilSecond(day + 1), zone);
    }
    case BudgetPeriod::kMonth: {
      const absl::CivilMonth month = absl::ToCivilMonth(time, zone);
      return between(absl::CivilSecond(month), absl::CivilSecond(month + 1), zone);
    }
    case BudgetPeriod::kTotal:
      break;
  }
  return {};
}

std::int32_t civil_day(WallTime now, const absl::TimeZone& zone) {
  return static_cast<std::int32_t>(absl::ToCivilDay(absl::FromUnixMicros(to_us(now)), zone) -
                                   absl::CivilDay(1970, 1, 1));
}

}  // namespace sluice::ledger
