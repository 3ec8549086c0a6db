// What a request head must look like before anything else looks at it: two programs that read the same bytes
// differently are how requests get smuggled, so whatever could be read in two ways is refused.
//
//   request line   METHOD SP TARGET SP HTTP/1.0|1.1 CRLF     (RFC 9112, 3)
//   fields         NAME ":" OWS VALUE OWS CRLF               (RFC 9112, 5), no folding, no space before the colon
//   end            CRLF
// Pure: bytes in, verdict out.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace sluice::http::h1 {

// Finds the end of a head in bytes that come piecemeal, each looked at once.
// A line that does not end in CRLF is refused where it is seen: waiting for more would only run into a timeout.
class HeadScan {
 public:
  enum class Found : std::uint8_t { kMore, kWhole, kBad };
  // `bytes`: everything from the first byte of the head; grows from call to call.
  [[nodiscard]] Found scan(std::string_view bytes) noexcept;
  // Length of the head with its empty line. REQUIRES: kWhole.
  [[nodiscard]] std::size_t size_bytes() const noexcept { return line_; }

 private:
  std::size_t line_ = 0;  // where the line under way begins
};

enum class Framing : std::uint8_t { kNone, kLength, kChunked };

struct CheckedHead {
  Framing framing = Framing::kNone;
  std::uint64_t content_length = 0;
  bool http_1_0 = false;
  bool expects_continue = false;
  bool has_authority = false;  // the target names the host itself
  std::size_t lines = 0;       // the request line and the fields
  std::string_view target;
  std::string_view path;  // of an absolute-form target, too
  std::string_view query;
};

// `head`: a whole head with its empty line. Views point into it. Errors: kBadRequest, kHeadTooLarge (too many fields).
[[nodiscard]] Result<CheckedHead> check_head(std::string_view head) noexcept;

}  // namespace sluice::http::h1
