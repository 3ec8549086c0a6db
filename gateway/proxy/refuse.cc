// How an exchange that failed is answered: one place for status, body, headers and end reason.
#include <charconv>

#include "proxy/exchange.h"

namespace sluice::proxy {
namespace {

constexpr std::string_view kModelNotFound =
    "The model does not exist or this API key has no access to it. GET /v1/models lists the models that the key can "
    "use.";

// Which end an error is. `sent`: a request had gone to an upstream.
EndReason end_reason_of(const Error& error, bool sent) noexcept {
  switch (error.kind) {
    case ErrorKind::kClosed:
    case ErrorKind::kTimeout:
      if (error.origin == Origin::kClient) return EndReason::kClientGone;
      return error.kind == ErrorKind::kTimeout ? EndReason::kTimeout : EndReason::kUpstreamFailed;
    case ErrorKind::kRateLimited:
    case ErrorKind::kQuotaExceeded:
    case ErrorKind::kForbidden:
      return EndReason::kRefused;
    case ErrorKind::kInvalidKey:
      return sent ? EndReason::kRevoked : EndReason::kRefused;
    case ErrorKind::kOverloaded:
    case ErrorKind::kUnavailable:
      return sent && error.origin == Origin::kSelf ? EndReason::kDrained : EndReason::kUnavailable;
    case ErrorKind::kConnect:
    case ErrorKind::kRefused:
      return EndReason::kUnavailable;
    default:
      break;
  }
  if (error.origin == Origin::kClient) return EndReason::kInvalid;
  return error.origin == Origin::kUpstream ? EndReason::kUpstreamFailed : EndReason::kFault;
}

}  // namespace

std::chrono::milliseconds retry_after_of(std::string_view header, unsigned status) noexcept {
  unsigned seconds = 0;
  const auto parsed = std::from_chars(header.data(), header.data() + header.size(), seconds);
  if (parsed.ec == std::errc() && parsed.ptr == header.data() + header.size() && seconds <= 86'400)
    return std::chrono::seconds(seconds);
  return status == 503 || status == 429 ? kRetrySoon : std::chrono::milliseconds{0};
}

Task<void> Exchange::refuse(Error error) {
  const bool by_policy = decision_.verdict == policy::Verdict::kRefuse;
  outcome_.reason = by_policy ? EndReason::kRefused : end_reason_of(error, upstream_ != nullptr);
  if (outcome_.reason == EndReason::kClientGone) co_await read_on();
  // The model has read the prompt at the least, as far as anybody knows.
  if (upstream_ && outcome_.usage.source == UsageSource::kNone)
    outcome_.usage = {.source = UsageSource::kEstimated, .prompt_tokens = call_.prompt_estimate};
  if (outcome_.reason == EndReason::kClientGone || begun_ == Begun::kBody) {
    // Nobody to tell, or no way to: a transfer that breaks off is the only honest end of a half-sent body.
    finish();
    client_.stream().abort();
    co_return;
  }
  if (error.kind == ErrorKind::kInvalidKey && outcome_.reason == EndReason::kRevoked) client_.close_after_answer();
  const std::string_view text =
      error.kind == ErrorKind::kModelNotFound ? kModelNotFound : std::string_view(decision_.message);
  openai::ErrorAnswer answer = openai::error_answer(error, text, decision_.type);
  // A policy that names no time says that no retry helps: a prompt above what its budget has left.
  if (by_policy && decision_.retry_after.count() == 0 && answer.status == 429)
    answer.should_retry = openai::ErrorAnswer::ShouldRetry::kNo;
  const bool soon = decision_.retry_after.count() == 0 && answer.status == 503;
  co_await answer_error(answer, soon ? kRetrySoon : decision_.retry_after);
}

Task<void> Exchange::answer_error(const openai::ErrorAnswer& answer, std::chrono::milliseconds retry_after) {
  if (begun_ == Begun::kStream) {
    // The status has gone: the error goes as the stream's last event.
    client_.close_after_answer();
    client_.append(openai::error_event(answer));
    finish();
    (void)co_await client_.finish();
    co_return;
  }
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  add_answer_headers(headers);
  add_retry_headers(headers, answer, retry_after);
  add_limit_headers(headers, decision_.refusal, worker_.clock.wall());
  if (answer.status == 405) headers.add("allow", route_.endpoint == nullptr ? "GET, POST" : route_.endpoint->method);
  outcome_.status = answer.status;
  outcome_.bytes_out += answer.body.size();
  finish();
  (void)co_await client_.respond(answer.status, headers.span(), answer.body);
}

}  // namespace sluice::proxy
