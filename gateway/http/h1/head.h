// The head of an HTTP/1.1 request: what it says, and how its body and the connection go on.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "http/request_head.h"

namespace sluice::http::h1 {

// Lifetime: views are valid as long as the bytes that were parsed.
struct Head : RequestHead {
  bool keep_alive = true;
  bool http_1_0 = false;
  bool has_body = false;
  std::optional<std::uint64_t> content_length;  // none: chunked, or no body
  bool expects_continue = false;
};

// Checks `bytes`, a whole head with its empty line (request_check), then parses it with Beast. Errors: kBadRequest,
// kHeadTooLarge (too many fields).
[[nodiscard]] Status parse_head(std::string_view bytes, Head& head);

}  // namespace sluice::http::h1
