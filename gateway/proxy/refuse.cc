// How an exchange that failed is answered: one place for status, body, headers and end reason.
#include <algorithm>
#include <charconv>

#include "http/date.h"
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
    case ErrorKind::kUnavailable:
      return sent && error.origin == Origin::kSelf ? EndReason::kDrained : EndReason::kUnavailable;
    case ErrorKind::kOverloaded:
    case ErrorKind::kConnect:
    case ErrorKind::kRefused:
      return EndReason::kUnavailable;
    default:
      break;
  }
  if (error.origin == Origin::kClient) return EndReason::kInvalid;
  return error.origin == Origin::kUpstream ? EndReason::kUpstreamFailed : EndReason::kFault;
}

// A header's number, not below 0. Nothing: it is none.
std::optional<double> number_in(std::string_view text) noexcept {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end || !(number >= 0)) return std::nullopt;
  return number;
}

// Milliseconds from `now` to a header's date. Nothing: it is none.
std::optional<double> time_until(std::string_view date, WallTime now) noexcept {
  using std::chrono::system_clock;
  const std::optional<std::time_t> at = http::parse_http_date(date, system_clock::to_time_t(now));
  if (!at) return std::nullopt;
  return std::chrono::duration<double, std::milli>(system_clock::from_time_t(*at) - now).count();
}

}  // namespace

std::chrono::milliseconds retry_after_of(const http::AnswerHead& head, unsigned status, WallTime now) noexcept {
  const auto in_ms = std::ranges::find(head.others, "retry-after-ms", [](const auto& field) { return field.first; });
  std::optional<double> milliseconds;
  if (in_ms != head.others.end()) milliseconds = number_in(in_ms->second);
  if (!milliseconds) {
    milliseconds = number_in(head.retry_after);
    if (milliseconds) *milliseconds *= 1'000;
  }
  if (!milliseconds) milliseconds = time_until(head.retry_after, now);
  if (milliseconds && *milliseconds >= 1) {
    constexpr double kMost = 86'400'000;
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::min(*milliseconds, kMost)));
  }
  return dialect::is_busy(status) || status == 429 ? kRetrySoon : std::chrono::milliseconds{0};
}

// The operator's matter, not the caller's: whose key it is, the caller does not know.
void Exchange::tell_operator(const dialect::ErrorAnswer& answer, unsigned status) noexcept {
  if (answer.fault != dialect::ErrorAnswer::Fault::kCredentials || worker_.doubts == nullptr) return;
  worker_.doubts->tell_refused_credentials(*lease_, status, worker_.clock.mono());
}

Task<void> Exchange::refuse(Error error) {
  const bool by_policy = decision_.verdict == policy::Verdict::kRefuse;
  outcome_.reason = by_policy ? EndReason::kRefused : end_reason_of(error, upstream_ != nullptr);
  worker_.log.debug("call refused",
                    {{"request_id", call_.request_id},
                     {"end", to_string(outcome_.reason)},
                     {"upstream", place_name_},
                     {"why", error.what},
                     {"limit_of", decision_.refusal.refused() ? ledger::to_string(decision_.refusal.scope) : ""},
                     {"os_code", error.os_code}});
  if (walk_) take_walked_usage();
  if (outcome_.reason == EndReason::kClientGone && !kept_on_) co_await read_on();
  // The model has read the prompt at the least, as far as anybody knows.
  if (upstream_ && outcome_.usage.source == UsageSource::kNone) outcome_.usage = own_count();
  if (is_on_its_own() && outcome_.usage.source == UsageSource::kEstimated)  // as far as anybody knows it runs on
    outcome_.usage.completion_tokens = call_.ticket.reserved_output;
  if (outcome_.reason == EndReason::kClientGone || begun_ == Begun::kBody) {
    // Nobody to tell, or no way to: a transfer that breaks off is the only honest end of a half-sent body.
    finish();
    client_.abort();
    co_return;
  }
  if (error.kind == ErrorKind::kInvalidKey && outcome_.reason == EndReason::kRevoked) client_.close_after_answer();
  const std::string_view text =
      error.kind == ErrorKind::kModelNotFound ? kModelNotFound : std::string_view(decision_.message);
  dialect::ErrorAnswer answer = dialect().error_answer(error, text, decision_.refusal.kind);
  // A policy that names no time says that no retry helps: a prompt above what its budget has left.
  if (by_policy && decision_.retry_after.count() == 0 && answer.status == 429)
    answer.should_retry = dialect::ErrorAnswer::ShouldRetry::kNo;
  const bool soon = decision_.retry_after.count() == 0 && dialect::is_busy(answer.status);
  co_await answer_error(answer, soon ? kRetrySoon : decision_.retry_after);
}

// What was translated so far ends as its own dialect ends what fails.
void Exchange::append_error_event(const dialect::ErrorAnswer& answer) {
  const WipedString event = dialect().error_event(answer);
  if (is_translated() && !filter_ && lease_) filter_ = make_filter();
  if (is_translated() && filter_)
    filter_->fail(event, answer.body, client_.chunk());
  else
    client_.append(event);
}

Task<void> Exchange::answer_error(dialect::ErrorAnswer& answer, std::chrono::milliseconds retry_after) {
  if (lease_) dialect::hide_secret(answer, lease_->secret());
  dialect().add_request_id(answer, call_.request_id);
  if (begun_ == Begun::kStream) {
    // The status has gone: the error goes as the stream's last event.
    client_.close_after_answer();
    append_error_event(answer);
    finish();
    (void)co_await client_.finish();
    co_return;
  }
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  add_answer_headers(headers);
  add_retry_headers(headers, answer, retry_after);
  add_limit_headers(headers, decision_.refusal, worker_.clock.wall());
  if (answer.status == 415) headers.add("accept-encoding", wire::kCodings);
  if (answer.status == 405 && match_.endpoint != nullptr)
    headers.add("allow", dialect::allowed_methods(match_.methods));
  outcome_.status = answer.status;
  outcome_.bytes_out += answer.body.size();
  finish();
  (void)co_await client_.respond(answer.status, headers.span(), answer.body);
}

}  // namespace sluice::proxy
