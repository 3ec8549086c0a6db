#include "http/date.h"

#include <cstdio>
#include <ctime>

namespace sluice::http {

std::string_view http_date() noexcept {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  thread_local std::time_t made_at = 0;
  thread_local char text[40];
  thread_local std::size_t size = 0;
  const std::time_t now = std::time(nullptr);
  if (now != made_at) {
    std::tm utc{};
    gmtime_r(&now, &utc);
    size = static_cast<std::size_t>(std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                                  kDays[utc.tm_wday], utc.tm_mday, kMonths[utc.tm_mon],
                                                  utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec));
    made_at = now;
  }
  return {text, size};
}

}  // namespace sluice::http
