// The Date header (RFC 9110, section 5.6.7), made once a second.
#pragma once

#include <string_view>

namespace sluice::http {

// "Sun, 06 Nov 1994 08:49:37 GMT". Valid until the next call on this thread.
[[nodiscard]] std::string_view http_date() noexcept;

}  // namespace sluice::http
