// The headers of an answer, gathered without allocating, and how an Error is written to a client.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "dialect/dialect.h"
#include "http/call.h"
#include "http/incoming.h"
#include "policy/policy.h"

namespace sluice::proxy {

// Where nobody knows when a retry helps, and one does.
inline constexpr std::chrono::milliseconds kRetrySoon{1'000};

// A small list of headers with room for the values that are made here.
// Lifetime: names, and values given to add(), outlive the list; values given to add_copy() live in it.
class ReplyHeaders final {
 public:
  void add(std::string_view name, std::string_view value) noexcept;
  void add_copy(std::string_view name, std::string_view value) noexcept;
  // The same for a name that is made here as well. One that finds no room is left out with its value.
  void add_named(std::string_view name, std::string_view value) noexcept;
  void add_named_copy(std::string_view name, std::string_view value) noexcept;
  void add_number(std::string_view name, std::uint64_t value) noexcept;
  // A Go-style duration, as SDKs read it: "174ms", "6.596s", "6m0s".
  void add_duration(std::string_view name, std::chrono::milliseconds value) noexcept;
  void clear() noexcept { count_ = used_ = 0; }
  [[nodiscard]] std::span<const http::Header> span() const noexcept { return {headers_.data(), count_}; }

 private:
  static constexpr std::size_t kMost = 40;
  [[nodiscard]] std::string_view kept(std::string_view text) noexcept;  // of no data: no room

  std::array<http::Header, kMost> headers_;
  std::array<char, 1536> text_;
  std::size_t count_ = 0;
  std::size_t used_ = 0;
};

// What browsers of other origins may do.
struct Cors {
  std::vector<std::string> origins;   // exact ones, or "*": any; empty: CORS is off
  std::chrono::seconds max_age{600};  // a preflight's answer may be kept so long
};

// x-request-id, the client's own id of the call, and the six x-ratelimit headers where limits apply.
void add_call_headers(ReplyHeaders& headers, const policy::Call& call) noexcept;
// What an upstream says of its own work and SDKs' users read: http::kPassedHeaders. Copied.
void add_upstream_headers(ReplyHeaders& headers, const http::AnswerHead& head) noexcept;
// Retry-After and retry-after-ms (agreeing, at most 60 s), x-should-retry.
void add_retry_headers(ReplyHeaders& headers, const dialect::ErrorAnswer& answer,
                       std::chrono::milliseconds retry_after) noexcept;
// x-sluice-limit-…: which limit or budget said no, of whom, its amount, what is left of it and when it is back.
void add_limit_headers(ReplyHeaders& headers, const ledger::Refusal& refusal, WallTime now) noexcept;
// access-control-allow-origin and its company, if `origin` is allowed.
void add_cors_headers(ReplyHeaders& headers, std::string_view origin, std::span<const std::string> allowed) noexcept;

// Answers a request that is no exchange: a head that could not be read, a path of the gateway's own. `message` empty:
// the error's own.
Task<Status> answer_error(http::Incoming& client, const dialect::Dialect& dialect, Error error,
                          std::string_view message = {});

// Writes kRequestIdMark and 32 hexadecimal digits.
inline constexpr std::string_view kRequestIdMark = "req_";
inline constexpr std::size_t kRequestIdBytes = 36;
std::string_view make_request_id(std::span<char, 40> into) noexcept;

}  // namespace sluice::proxy
