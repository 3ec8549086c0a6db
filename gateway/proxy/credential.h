// Where a caller may put its key: Authorization: Bearer, api-key (Azure's clients), x-api-key (Anthropic's).
#pragma once

#include <string_view>

#include "base/result.h"
#include "http/request_head.h"

namespace sluice::proxy {

// The one credential of a request, as sent; valid as long as `fields`. Errors: kNoKey; kInvalidKey: two that differ, or
// a scheme other than Bearer.
[[nodiscard]] Result<std::string_view> find_credential(const http::Fields& fields) noexcept;

}  // namespace sluice::proxy
