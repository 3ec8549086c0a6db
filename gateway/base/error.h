// What went wrong on the data plane: small, trivially copyable, allocates nothing, because 429 and 503 are normal
// traffic.
#pragma once

#include <cstdint>

namespace sluice {

// What kind of thing failed. A dialect turns a kind into status and words, once, in one place.
enum class ErrorKind : std::uint8_t {
  kBadRequest,        // malformed HTTP or JSON, wrong type, unsupported value
  kNoKey,             // no credential at all
  kInvalidKey,        // unknown, mistyped, expired or revoked credential
  kForbidden,         // a valid key that may not do this
  kNotFound,          // no such path
  kModelNotFound,     // no such model for this key
  kResponseNotFound,  // no such response, or item of one, of this user
  kFileNotFound,      // no such file or batch of this user
  kMethodNotAllowed,
  kUnsupportedEncoding,  // request Content-Encoding that is not decoded here
  kTooLarge,             // body or head beyond its limit
  kHeadTooLarge,
  kContextLength,  // the upstream says: prompt beyond the model's context
  kRateLimited,    // retry later helps
  kQuotaExceeded,  // retry does not help
  kOverloaded,     // this gateway or the model has no room now
  kUnavailable,    // no upstream reachable, store not loaded, draining
  kConnect,        // could not reach the upstream
  kRefused,        // upstream refused the stream before any work
  kTimeout,
  kClosed,      // peer closed or reset
  kCancelled,   // we ended it: revoked, drain grace over
  kProtocol,    // peer broke its protocol
  kWouldBlock,  // not an error: nothing to read or no room to write now
  kUpstream,    // upstream answered with an error of its own
  kInternal,
};

// Whose fault it is.
enum class Origin : std::uint8_t { kClient, kUpstream, kSelf };

// Whether nothing was sent yet, so that another upstream may be tried.
enum class Retry : std::uint8_t { kNo, kYes };

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  Origin origin = Origin::kSelf;
  Retry retry = Retry::kNo;
  std::uint16_t http_status = 0;  // 0: the kind's own; else what the upstream answered
  int os_code = 0;                // errno, or the library's code, for the log
  const char* what = "";          // static storage only; never holds bytes of a request
};

[[nodiscard]] constexpr Error client_error(ErrorKind kind, const char* what) noexcept {
  return {kind, Origin::kClient, Retry::kNo, 0, 0, what};
}
[[nodiscard]] constexpr Error upstream_error(ErrorKind kind, const char* what, Retry retry = Retry::kNo) noexcept {
  return {kind, Origin::kUpstream, retry, 0, 0, what};
}
[[nodiscard]] constexpr Error self_error(ErrorKind kind, const char* what, int os_code = 0) noexcept {
  return {kind, Origin::kSelf, Retry::kNo, 0, os_code, what};
}

}  // namespace sluice
