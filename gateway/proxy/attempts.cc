// What comes behind an attempt that failed: another place of the model, or else a model that its route falls back to; and
// the account of what was asked before, where a model may have generated for it.
#include <memory>

#include "proxy/exchange.h"

namespace sluice::proxy {

// A call that is whole in memory and whose client has got nothing may go on. `next` then holds a slot of another place,
// one that is well; where there is none, what this one said is the client's answer. Error: the call is over.
Result<Again> Exchange::go_elsewhere(const Status& head, std::size_t attempt, Tried& tried, upstream::Lease& next) {
  using Way = RetryTable::Way;
  const RetryTable& table = conf_->settings.retries;
  const Way way = head ? table.of_status(upstream_->head()->status) : table.of_error(head.error());
  if (way == Way::kNot || begun_ != Begun::kNothing || attempt >= conf_->settings.attempts) return Again::kNo;
  const std::uint16_t status = head ? upstream_->head()->status : std::uint16_t{0};
  const EndReason reason = head                                       ? EndReason::kUpstreamError
                           : way == Way::kSafe                        ? EndReason::kUnavailable
                           : head.error().kind == ErrorKind::kTimeout ? EndReason::kTimeout
                                                                      : EndReason::kUpstreamFailed;
  const Usage used = way == Way::kUnsafe ? own_count() : Usage{};
  tried.push_back(&*lease_);
  upstream::Wanted other = wanted(call_.model);
  other.sick = upstream::Sick::kNever;
  if (worker_.pool.take(other, tried, next) == upstream::Supply::kTaken) {
    log_attempt(head);
    upstream_.reset();
    if (way == Way::kUnsafe) {
      record_attempt(reason, status, used);
      SLUICE_TRY(admit_anew());
    }
    return Again::kYes;
  }
  const Result<Again> fallen = use_fallback(reason, status, used, tried, next);
  if (!fallen || *fallen == Again::kNo) tried.pop_back();
  return fallen;
}

void Exchange::log_attempt(const Status& head) const noexcept {
  worker_.log.debug("another upstream is tried", {{"request_id", call_.request_id},
                                                  {"upstream", place_name_},
                                                  {"status", head ? upstream_->head()->status : 0},
                                                  {"why", head ? "" : head.error().what},
                                                  {"os_code", head ? 0 : head.error().os_code}});
}

// Before a call waits for a model that falls back to others: where no place of it is well, one of theirs is better. Where
// one is, the call waits for its slot as any other.
Status Exchange::prefer_fallback(std::span<const upstream::Place* const> tried, upstream::Lease& next) {
  upstream::Wanted own = wanted(call_.model);
  own.sick = upstream::Sick::kNever;
  if (worker_.pool.look(own, tried) == upstream::Supply::kFull) return ok();
  const Result<Again> fallen = use_fallback(EndReason::kUnavailable, 0, {}, tried, next);
  return fallen ? ok() : Status(fallen.error());
}

// The first of the models that are left and that a place which is well serves: one with a free slot, else one whose queue
// the call waits in. What was `used` of the one before is charged to that. Its rights were looked at when the call was let in; limits and budgets of the other are met now.
Result<Again> Exchange::use_fallback(EndReason reason, std::uint16_t status, const Usage& used,
                                     std::span<const upstream::Place* const> tried, upstream::Lease& next) {
  std::size_t chosen = fallbacks_.size();
  for (std::size_t i = 0; i < fallbacks_.size() && !next; ++i) {
    const auto* const model = known_model(fallbacks_[i]);
    if (model == nullptr) continue;
    upstream::Wanted other = wanted(model->first);
    other.sick = upstream::Sick::kNever;
    const upstream::Supply supply = worker_.pool.come(other, tried, next);
    const bool waits = supply == upstream::Supply::kFull && chosen == fallbacks_.size();
    if (supply == upstream::Supply::kTaken || waits) chosen = i;
  }
  if (chosen != fallbacks_.size()) {
    const auto* const model = known_model(fallbacks_[chosen]);
    fallbacks_.erase(fallbacks_.begin(), fallbacks_.begin() + static_cast<std::ptrdiff_t>(chosen) + 1);
    settle_turn(0);
    worker_.log.debug("another model serves",
                      {{"request_id", call_.request_id}, {"model", call_.model}, {"instead", model->first}});
    upstream_.reset();
    record_attempt(reason, status, used);
    use_model(*model);
    call_.caller.allowed_models = {};
    fell_back_ = true;
    SLUICE_TRY(admit_anew());
    return Again::kYes;
  }
  return Again::kNo;
}

// Ends the account of the call so far, with a record of its own.
void Exchange::record_attempt(EndReason reason, std::uint16_t status, const Usage& used) {
  outcome_.usage = used;
  count_meters();
  policy::Outcome attempt = outcome_;
  outcome_.usage = {};
  attempt.reason = reason;
  attempt.status = status;
  attempt.upstream = place_name_;
  attempt.bytes_in = client_.bytes_in();
  attempt.duration = std::chrono::duration_cast<std::chrono::microseconds>(worker_.clock.mono() - call_.began_mono);
  conf_->chain->finish(call_, attempt, std::exchange(admitted_, 0));
  conf_->chain->record(call_, attempt);
}

// Under another number. Error: a limit or a budget has no more room for it.
Status Exchange::admit_anew() {
  call_.number = worker_.next_number();
  std::destroy_at(&call_.ticket);  // is not assigned to
  std::construct_at(&call_.ticket);
  call_.entry = {};
  call_.clamp_output_to = 0;
  return admit();
}

}  // namespace sluice::proxy
