// An answer that goes on as a whole: gathered while it is small, so that it leaves with its length and can still be an
// error, and passed through beyond that. Either way it is walked as it comes.
#include <simdjson.h>

#include <algorithm>

#include "proxy/exchange.h"
#include "proxy/relay_errors.h"

namespace sluice::proxy {

// Until the answer is whole in upstream_->body(), or is larger than `limit_bytes`. `ping`: when the client of a stream
// is to hear one; never: it is not.
Task<Status> Exchange::gather(std::size_t limit_bytes, net::Deadline ping) {
  const std::chrono::milliseconds gap = times().gap;
  net::Deadline silence = net::Deadline::after(gap);
  std::size_t credited = 0;
  for (;;) {
    const std::size_t arrived = upstream_->body().size();
    if (arrived != credited) silence = net::Deadline::after(gap);
    upstream_->taken(arrived - credited);
    credited = arrived;
    if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();
    if (upstream_->state() == http::CallState::kEnded || arrived > limit_bytes) co_return ok();
    SLUICE_CO_TRY(co_await await_more(ping, silence));
  }
}

Task<Status> Exchange::relay_whole() {
  const std::size_t limit = conf_->settings.answer_bytes;
  if (upstream_->head()->content_length.value_or(0) > limit) co_return kTooLong;
  const bool all_of_it = is_translated() || asked_.background;
  SLUICE_CO_TRY(co_await gather(all_of_it ? limit : std::min(conf_->settings.whole_answer_bytes, limit)));
  if (upstream_->body().size() > limit) co_return kTooLong;
  note_first_byte();
  dialect::Converted converted = dialect::Converted::kDone;
  if (is_translated()) {
    const Spoken its = spoken();
    walk_ = its.dialect.walk(its.endpoint);
    const Result<dialect::Converted> made = co_await translate_answer(upstream_->body(), walk_.get());
    if (!made) co_return made.error();
    converted = *made;
  } else {
    walk_arrived();
  }
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  add_answer_headers(headers);
  if (upstream_->state() != http::CallState::kEnded) co_return co_await pass_through(headers);
  const dialect::WholeAnswer& walk = *walk_;
  if (walk.says_error()) co_return co_await answer_said_error();
  const bool whole = walk.form() == dialect::WholeAnswer::Form::kWhole && walk.is_answer();
  if (!whole || converted == dialect::Converted::kNot) co_return co_await answer_nothing(kNoAnswer);
  Buffer answer = std::move(upstream_->body());
  if (asked_.background && walk.runs_on()) SLUICE_CO_TRY(co_await keep_on(walk.kept_ids()));
  if (!holding_.set(answer.size())) co_return kHoldsTooMuch;
  outcome_.status = upstream_->head()->status;
  outcome_.bytes_out += answer.size();
  complete();
  (void)co_await client_.respond(outcome_.status, headers.span(), answer.view());
  co_return ok();
}

// An answer too large to gather: as it comes.
Task<Status> Exchange::pass_through(ReplyHeaders& headers) {
  begun_ = Begun::kBody;
  outcome_.status = upstream_->head()->status;
  client_.begin(outcome_.status, headers.span());
  std::size_t passed = 0;
  for (std::size_t credit = 0;; credit = upstream_->body().size()) {
    if (credit != 0) upstream_->taken(credit);  // what was gathered before has its credit already
    Buffer& body = upstream_->body();
    passed += body.size();
    if (passed > conf_->settings.answer_bytes) co_return kTooLong;
    walk_arrived();
    note_kept(walk_->kept_ids());
    client_.append(body.view());
    body.consume(body.size());
    walked_bytes_ = 0;
    if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();
    if (upstream_->state() == http::CallState::kEnded) break;
    if (!holding_.set(client_.pending_bytes())) co_return kHoldsTooMuch;
    SLUICE_CO_TRY(co_await client_.flush());
    (void)holding_.set(0);
    if (!body.empty()) continue;
    const Result<net::Wake> woken = co_await next(net::Deadline::after(times().gap));
    if (!woken) co_return woken.error();
    if (*woken == net::Wake::kDeadline) co_return kSilent;
  }
  if (walk_->form() != dialect::WholeAnswer::Form::kWhole || !walk_->is_answer()) co_return kEndedEarly;
  complete();
  (void)co_await client_.finish();
  co_return ok();
}

// The answer is whole: settle before its last bytes leave.
void Exchange::complete() {
  note_kept(walk_->kept_ids());
  model_served_ = walk_->model();
  outcome_.reason = end_reason_of(walk_->ending());
  take_walked_usage();
  finish();
}

// A 2xx whose body is an error. Nothing is charged but what it says was used.
Task<Status> Exchange::answer_said_error() {
  Buffer body = std::move(upstream_->body());
  (void)body.prepare(simdjson::SIMDJSON_PADDING);
  std::optional<dialect::ErrorAnswer> error = dialect().error_in_answer(body.view());
  if (!error) co_return co_await answer_nothing(kNoAnswer);
  take_said_usage();
  outcome_.reason = EndReason::kUpstreamError;
  co_await answer_error(*error, retry_after_of(*upstream_->head(), error->status, worker_.clock.wall()));
  co_return ok();
}

// A 2xx that is no answer, or none that the client could use; `why` says so. The same is charged.
Task<Status> Exchange::answer_nothing(const char* why) {
  take_said_usage();
  outcome_.reason = EndReason::kUpstreamFailed;
  dialect::ErrorAnswer answer = dialect().error_answer(upstream_error(ErrorKind::kProtocol, why));
  co_await answer_error(answer, {});
  co_return ok();
}

}  // namespace sluice::proxy
