// A call that its place goes on with by itself: what it holds is handed to proxy/kept_calls before its client hears the
// id, and charged from there.
#include <utility>

#include "journal/label_text.h"
#include "proxy/exchange.h"
#include "proxy/relay_errors.h"

namespace sluice::proxy {
namespace {

constexpr Error kTooMany = self_error(ErrorKind::kOverloaded,
                                      "As many responses and batches run in the background as this gateway looks "
                                      "after; try again when some have ended, or "
                                      "call without 'background'.");
constexpr Error kNone = client_error(ErrorKind::kBadRequest, "This gateway looks after nothing in the background.");
constexpr Error kNotStored =
    self_error(ErrorKind::kOverloaded,
               "The gateway could not note what runs in the background, for its store cannot be "
               "reached, and has ended it. Try again soon.");
constexpr Error kNoId =
    upstream_error(ErrorKind::kProtocol, "the model server goes on in the background and names no id to ask for");
constexpr Error kStillRuns =
    client_error(ErrorKind::kBadRequest,
                 "This response still runs in the background: end it by POST /v1/responses/ID/cancel, then delete it.");
constexpr std::chrono::milliseconds kLookAgain{50};

}  // namespace

// May another run in the background?
Status Exchange::may_run_on() const noexcept {
  if (worker_.kept_calls == nullptr) return kNone;
  return worker_.kept_calls->has_room() ? ok() : Status(kTooMany);
}

// Between the moment it was sent and the one its id is known, whoever leaves or is revoked ends nothing: it would run on
// and nobody would know of it.
bool Exchange::is_on_its_own() const noexcept { return asked_.background && upstream_ != nullptr && !kept_on_; }

// A batch has a day, and then its place ends it by itself.
store::KeptCall Exchange::kept_call(std::string_view id) const {
  const bool batch = file_ != nullptr;
  const dialect::ClaimLimit limit = batch ? claim_limit_of_batch() : claim_limit();
  return {.kind = batch ? store::KeptCall::Kind::kBatch : store::KeptCall::Kind::kResponse,
          .id = std::string(id),
          .place = place_name_,
          .model = std::string(call_.model),
          .endpoint = std::string(call_.endpoint),
          .tenant_id = call_.caller.tenant_id,
          .user_id = call_.caller.user_id,
          .key_id = call_.caller.key_id,
          .boot_id = worker_.boot_id,
          .number = call_.number,
          .settle_number = worker_.next_number(),
          .began = call_.began,
          .until = call_.began + worker_.kept_calls->life() * (batch ? 2 : 1),
          .day_us = call_.ticket.day_us,
          .stream = call_.stream,
          .prompt_estimate = call_.prompt_estimate,
          .reserved_output = call_.ticket.reserved_output,
          .most_prompt = limit.prompt,
          .most_output = limit.completion,
          .price = call_.ticket.price,
          .request_id = std::string(call_.request_id),
          .client_request_id = client_request_id_,
          .client_ip = std::string(call_.client_ip),
          .labels = std::string(journal::label_text(labels_).view())};
}

// Error: the store did not take it; it is ended where it runs. Either way what it holds has been handed over.
Task<Status> Exchange::keep_on(const dialect::KeptIds* ids) {
  if (ids == nullptr || ids->answer().empty()) co_return kNoId;
  const store::KeptCall call = kept_call(ids->answer());
  KeptCalls::Storing storing{.wake = wake_, .call = call, .response = record_of(call.id, endpoint().kept)};
  worker_.kept_calls->store(storing);
  net::Deadline until = net::Deadline::after(conf_->settings.look_up);
  while (!storing.over) {
    const net::Wake woken = co_await wake_.wait(until);
    if (storing.over || woken == net::Wake::kNotified) continue;
    if (worker_.kept_calls->withdraw(storing)) break;
    until = net::Deadline::never();  // it is being stored
  }
  using Then = KeptCalls::Then;
  worker_.kept_calls->keep(call, *key_, call_.ticket, storing.stored ? Then::kRunsOn : Then::kEnds);
  kept_on_ = std::make_unique<const store::KeptCall>(call);
  if (!storing.stored) co_return kNotStored;
  co_return interrupted();
}

// In the middle of a stream, as soon as it has told its id.
Task<Status> Exchange::keep_stream(const dialect::EventFilter& filter) {
  const dialect::KeptIds* const ids = filter.kept_ids();
  if (kept_on_ || ids == nullptr || ids->answer().empty()) co_return ok();
  co_return co_await keep_on(ids);
}

// A stream that was followed to its end says what asking would.
void Exchange::settle_kept() {
  if (!kept_on_) return;
  if (outcome_.usage.source != UsageSource::kMeasured)
    return worker_.kept_calls->look_soon(kept_on_->user_id, kept_on_->id);
  const auto charged = worker_.kept_calls->ended(*kept_on_, {.what = KeptState::What::kOver,
                                                             .reason = outcome_.reason,
                                                             .status = outcome_.status,
                                                             .usage = outcome_.usage,
                                                             .model_served = model_served_});
  if (charged == KeptCalls::Charged::kNow && model_->meters) worker_.metrics.used(outcome_.usage, &*model_->meters);
}

// The record of the call that began it: what was used, another says.
void Exchange::leave_to_kept() noexcept {
  outcome_.usage = {};
  if (outcome_.reason == EndReason::kCompleted || outcome_.reason == EndReason::kIncomplete)
    outcome_.reason = EndReason::kBackground;
}

// What runs must be asked for what it used before it is gone.
Task<Status> Exchange::await_kept() {
  const std::string& id = asked_.stored.answer;
  if (worker_.kept_calls == nullptr || !worker_.kept_calls->holds(call_.caller.user_id, id)) co_return ok();
  const net::Deadline until = net::Deadline::after(conf_->settings.look_up);
  client_.watch_client(&wake_);
  worker_.kept_calls->look_soon(call_.caller.user_id, id);
  while (worker_.kept_calls->holds(call_.caller.user_id, id)) {
    if (until.passed()) co_return kStillRuns;
    const Result<net::Wake> woken = co_await next(net::Deadline::after(kLookAgain));
    if (!woken) co_return woken.error();
  }
  co_return ok();
}

}  // namespace sluice::proxy
