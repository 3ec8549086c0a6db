// Dates of HTTP (RFC 9110, section 5.6.7): the Date header, made once a second, and those that others send.
#pragma once

#include <ctime>
#include <optional>
#include <string_view>

namespace sluice::http {

// "Sun, 06 Nov 1994 08:49:37 GMT". Valid until the next call on this thread.
[[nodiscard]] std::string_view http_date() noexcept;

// The moment, in seconds since 1970, that a date in any of the three forms names: IMF-fixdate, RFC 850 ("Sunday,
// 06-Nov-94 08:49:37 GMT"; its year is the one within 50 years of `now`) and asctime ("Sun Nov  6 08:49:37 1994").
// Nothing: it is none of them.
[[nodiscard]] std::optional<std::time_t> parse_http_date(std::string_view text, std::time_t now) noexcept;

}  // namespace sluice::http
