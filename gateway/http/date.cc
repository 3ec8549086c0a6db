#include "http/date.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace sluice::http {

namespace {

constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// Reads a date from its front on; one false answer makes the whole no date.
class DateReader final {
 public:
  explicit DateReader(std::string_view text) noexcept : rest_(text) {}

  bool text(std::string_view expected) noexcept {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  // Exactly `digits` digits; the first may be a space where asctime pads with one.
  bool number(std::size_t digits, int& into) noexcept {
    if (rest_.size() < digits) return false;
    into = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = rest_[i] == ' ' && i == 0 && digits == 2 ? '0' : rest_[i];
      if (c < '0' || c > '9') return false;
      into = into * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return true;
  }
  bool month(int& into) noexcept {
    for (into = 0; into < 12; ++into) {
      if (text(kMonths[into])) return true;
    }
    return false;
  }
  bool time(std::tm& into) noexcept {
    return number(2, into.tm_hour) && text(":") && number(2, into.tm_min) && text(":") && number(2, into.tm_sec);
  }
  [[nodiscard]] bool ended() const noexcept { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// Behind the day's name: "06 Nov 1994 08:49:37 GMT".
bool read_fixdate(DateReader from, std::tm& into) noexcept {
  return from.text(", ") && from.number(2, into.tm_mday) && from.text(" ") && from.month(into.tm_mon) &&
         from.text(" ") && from.number(4, into.tm_year) && from.text(" ") && from.time(into) && from.text(" GMT") &&
         from.ended();
}

// "06-Nov-94 08:49:37 GMT"; two digits of the year.
bool read_rfc850(DateReader from, std::tm& into) noexcept {
  return from.text(", ") && from.number(2, into.tm_mday) && from.text("-") && from.month(into.tm_mon) &&
         from.text("-") && from.number(2, into.tm_year) && from.text(" ") && from.time(into) && from.text(" GMT") &&
         from.ended();
}

// " Nov  6 08:49:37 1994".
bool read_asctime(DateReader from, std::tm& into) noexcept {
  return from.text(" ") && from.month(into.tm_mon) && from.text(" ") && from.number(2, into.tm_mday) &&
         from.text(" ") && from.time(into) && from.text(" ") && from.number(4, into.tm_year) && from.ended();
}

// The year with these last two digits that is not more than 50 years after `now`.
int whole_year(int digits, std::time_t now) noexcept {
  std::tm today{};
  gmtime_r(&now, &today);
  const int this_year = today.tm_year + 1900;
  int year = this_year - this_year % 100 + digits;
  if (year > this_year + 50) year -= 100;
  return year;
}

}  // namespace

std::optional<std::time_t> parse_http_date(std::string_view text, std::time_t now) noexcept {
  const std::string_view rest = text.substr(std::min(text.find_first_of(", "), text.size()));
  const std::string_view day = text.substr(0, 3);
  if (std::ranges::none_of(kDays, [day](const char* name) { return day == name; })) return std::nullopt;
  std::tm date{};
  if (read_rfc850(DateReader(rest), date)) {
    date.tm_year = whole_year(date.tm_year, now);
  } else {
    date = {};
    if (!read_fixdate(DateReader(rest), date) && !read_asctime(DateReader(rest), date)) return std::nullopt;
  }
  if (date.tm_mday < 1 || date.tm_mday > 31 || date.tm_hour > 23 || date.tm_min > 59 || date.tm_sec > 60)
    return std::nullopt;
  date.tm_year -= 1900;
  return timegm(&date);
}

std::string_view http_date() noexcept {
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
