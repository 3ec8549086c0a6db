// What the end of an attempt says of the place that it went to, told to that place's breaker once.
#include "proxy/exchange.h"

namespace sluice::proxy {
namespace {

constexpr unsigned kTooManyRequests = 429;
constexpr unsigned kUnauthorized = 401;  // of the gateway's key, for no client's goes there

// Nothing: it says nothing of the place.
std::optional<upstream::Fault> fault_of(const Error& error) noexcept {
  if (error.origin != Origin::kUpstream) return std::nullopt;
  switch (error.kind) {
    case ErrorKind::kConnect:
      return upstream::Fault::kConnect;
    case ErrorKind::kRefused:
      return upstream::Fault::kRefused;
    case ErrorKind::kTimeout:
      return upstream::Fault::kTimeout;
    case ErrorKind::kClosed:
    case ErrorKind::kProtocol:
    case ErrorKind::kUpstream:
      return upstream::Fault::kLost;
    default:
      return std::nullopt;
  }
}

}  // namespace

// `fault`: how it failed; nothing: it did well.
void Exchange::judge(std::optional<upstream::Fault> fault) noexcept {
  upstream::Standing* const standing = lease_.standing();
  if (standing == nullptr || std::exchange(judged_, true)) return;
  const upstream::BreakerSettings& settings = conf_->settings.breaker;
  const MonoTime now = Mono::now();
  upstream::Breaker& breaker = standing->breaker;
  const upstream::Flip flip =
      fault ? breaker.failed(attempt_began_, now, *fault, settings) : breaker.succeeded(attempt_began_, now, settings);
  if (flip == upstream::Flip::kBack)
    worker_.log.info("a place is well again and gets calls as before",
                     {{"upstream", place_name_}, {"model", call_.model}});
  if (flip != upstream::Flip::kEjected) return;
  worker_.metrics.ejected();
  worker_.log.warn("a place is ejected: calls go elsewhere, where another serves the model",
                   {{"upstream", place_name_},
                    {"model", call_.model},
                    {"why", to_string(*fault)},
                    {"tried_again_in_ms", breaker.pause().count()}});
}

// No head has come.
void Exchange::judge_failed(const Error& error) noexcept {
  if (const std::optional<upstream::Fault> fault = fault_of(error)) judge(fault);
}

// The head of an answer has. What it says of a pause holds for every call.
void Exchange::judge_head() noexcept {
  const http::AnswerHead& head = *upstream_->head();
  const bool busy = head.status == kTooManyRequests || dialect::is_busy(head.status);
  if (busy && lease_.standing() != nullptr)
    lease_.standing()->breaker.hold_off(Mono::now(), retry_after_of(head, head.status, worker_.clock.wall()),
                                        conf_->settings.breaker);
  if (head.status == kUnauthorized) return judge(upstream::Fault::kKey);
  if (head.status >= 500) return judge(upstream::Fault::kStatus);
  if (head.status >= 300) return busy ? void() : judge(std::nullopt);
  if (call_.stream && Mono::now() - attempt_began_ > conf_->settings.breaker.slow_head)
    judge(upstream::Fault::kSlowHead);
}

// The call is over.
void Exchange::judge_end() noexcept {
  if (!lease_ || !upstream_) return;
  switch (outcome_.reason) {
    case EndReason::kCompleted:
    case EndReason::kBackground:
    case EndReason::kIncomplete:
    case EndReason::kBudgetCut:
      return judge(std::nullopt);
    case EndReason::kUpstreamError:  // told in an answer whose status was good
      return judge(outcome_.status >= 500 ? std::optional(upstream::Fault::kStatus) : std::nullopt);
    case EndReason::kUpstreamFailed:
      return judge(upstream::Fault::kBroken);
    case EndReason::kTimeout:
      return judge(upstream::Fault::kTimeout);
    default:
      return;
  }
}

}  // namespace sluice::proxy
