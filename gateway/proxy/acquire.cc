// A slot for the call: at once where one is free and nobody waits, else in the queue of its model.
#include <fmt/format.h>

#include <algorithm>

#include "proxy/exchange.h"
#include "proxy/place_errors.h"
#include "upstream/queued.h"

namespace sluice::proxy {
namespace {

using upstream::Supply;
using TurnState = upstream::Turn::State;

constexpr Error kQueueFull = {ErrorKind::kOverloaded,
                              Origin::kSelf,
                              Retry::kNo,
                              0,
                              0,
                              "every slot of this model is taken and the queue is full; retry shortly"};
constexpr Error kTooLong = {ErrorKind::kOverloaded, Origin::kSelf, Retry::kNo, 0, 0, "the wait for a slot is too long"};
constexpr Error kUserFull = {
    ErrorKind::kRateLimited, Origin::kSelf, Retry::kNo, 0, 0, "too many calls of this user wait for this model"};
constexpr Error kNotTaken = {
    ErrorKind::kUnavailable,
    Origin::kUpstream,
    Retry::kNo,
    0,
    0,
    "nothing that serves this model takes calls of this endpoint; call it by another API, or ask "
    "your administrator: an upstream has dialects, an agent may be old"};
constexpr Error kNoKeeper =
    client_error(ErrorKind::kBadRequest,
                 "No model server of this model keeps files and runs batches; send the calls one by one, or ask your "
                 "administrator ([[upstream]] files).");
constexpr Error kNoSlot = {ErrorKind::kOverloaded,
                           Origin::kUpstream,
                           Retry::kNo,
                           0,
                           0,
                           "every slot of this model stayed taken; retry shortly"};

std::int64_t whole_seconds(std::chrono::milliseconds time) noexcept { return (time.count() + 999) / 1'000; }

// ": queued 3, about 12 s", a comment that stands before the dialect's own ping.
std::string position_comment(upstream::Queued& queued) {
  const std::uint32_t position = queued.position();
  const std::optional<std::chrono::milliseconds> wait = queued.wait();
  if (!wait) return fmt::format(": queued {}\n", position);
  return fmt::format(": queued {}, about {} s\n", position, whole_seconds(*wait));
}

}  // namespace

Task<Result<upstream::Lease>> Exchange::acquire(std::span<const upstream::Place* const> tried, Patience patience) {
  settle_turn(0);  // of a place that took nothing
  upstream::Lease lease;
  const Supply supply = worker_.pool.come(wanted(call_.model), tried, lease);
  if (supply == Supply::kTaken) co_return lease;
  const auto* const meters = model_ != nullptr && model_->meters ? &*model_->meters : nullptr;
  const MonoTime began = Mono::now();
  worker_.metrics.waiting(1, meters);
  Result<upstream::Lease> waited = co_await wait_for_slot(tried, patience, supply);
  worker_.metrics.waiting(-1, meters);
  const auto time = std::chrono::duration_cast<std::chrono::microseconds>(Mono::now() - began);
  worker_.metrics.queued(time);
  queued_ += time;
  co_return waited;
}

Task<Result<upstream::Lease>> Exchange::wait_for_slot(std::span<const upstream::Place* const> tried, Patience patience,
                                                      Supply supply) {
  upstream::Lease lease;
  const upstream::Wanted wanted = this->wanted(call_.model);
  const upstream::Pool::Waiter waiter(worker_.pool, wanted, wake_);
  std::optional<upstream::Queued> queued;
  for (;;) {
    if (supply == Supply::kNotTaken && asked_.upload) co_return kNoKeeper;
    if (supply == Supply::kNotTaken)  // waiting makes no dialect
      co_return translation_ ? kNotTaken : translation_.error();
    const bool full = supply == Supply::kFull;
    const net::Deadline limit = full ? patience.queue : patience.hold;
    if (limit.passed()) co_return full ? kNoSlot : keeper_.empty() ? kNoPlace : kKeeperAway;
    if (!full) queued.reset();
    if (full && !queued) queued.emplace(worker_.pool, wanted, queue_terms(patience), wake_);
    const bool pings = queued && !queued->asking();
    const Result<net::Wake> woken = co_await next({std::min(limit.at, pings ? ping_.at : net::Deadline::never().at)});
    if (!woken) co_return woken.error();
    if (!queued) {
      supply = worker_.pool.come(wanted, tried, lease);
      if (supply == Supply::kTaken) co_return lease;
      continue;
    }
    const TurnState state = queued->state();
    if (state != TurnState::kWaits && state != TurnState::kGiven) co_return refused_by_queue(*queued, patience);
    if (state == TurnState::kGiven) {
      supply = worker_.pool.take(wanted, tried, lease);
      if (supply == Supply::kTaken) {
        turn_ = queued->take();
        co_return lease;
      }
      if (supply == Supply::kFull) queued->miss();
      continue;
    }
    SLUICE_CO_TRY(co_await tell_position(*queued));
    supply = worker_.pool.look(wanted, tried);
  }
}

upstream::QueueTerms Exchange::queue_terms(const Patience& patience) const noexcept {
  const std::uint64_t output = std::min(call_.output_cap, conf_->settings.queue_output * call_.choices);
  return {.who = {.id = call_.caller.user_id, .tenant = call_.caller.tenant, .user = call_.caller.user},
          .share = conf_->settings.shares.of(call_.caller),
          .estimate = call_.prompt_estimate + output,
          .most_wait = patience.queue.at - Mono::now()};
}

// The client of a stream hears where it stands, once it has waited for as long as it may hear nothing.
Task<Status> Exchange::tell_position(upstream::Queued& queued) {
  if (!queued.asking()) {
    if (ping_.passed()) queued.ask();
    co_return ok();
  }
  if (!queued.told()) co_return ok();
  begin_stream();
  client_.append(position_comment(queued));
  client_.append(dialect().ping());
  ping_ = net::Deadline::after(conf_->settings.ping_interval);
  co_return co_await client_.flush();
}

// When to come back, as far as is known: when a call that comes then would be let in.
Error Exchange::refused_by_queue(const upstream::Queued& queued, const Patience& patience) {
  const std::optional<std::chrono::milliseconds> wait = queued.wait();
  worker_.metrics.queue_refused();
  decision_.retry_after = std::max(wait.value_or(kRetrySoon), kRetrySoon);
  if (queued.state() == TurnState::kFull) return kQueueFull;
  if (queued.state() == TurnState::kUserFull) {
    decision_.message = fmt::format(
        "{} calls of this user wait for this model, as many as may ([route] queue_per_user). Send fewer at once.",
        conf_->settings.queue.calls_per_user);
    return kUserFull;
  }
  const auto most =
      std::chrono::ceil<std::chrono::milliseconds>(std::max(patience.queue.at - Mono::now(), Mono::duration::zero()));
  decision_.retry_after = std::max(decision_.retry_after - most, kRetrySoon);
  decision_.message = fmt::format(
      "Every slot of this model is taken and others wait: this call would wait about {} s and may wait {} s. Try again "
      "in {} s.",
      whole_seconds(wait.value_or(most)), whole_seconds(most), whole_seconds(decision_.retry_after));
  return kTooLong;
}

// What was estimated of a call that had to wait is corrected by what it has used.
void Exchange::settle_turn(std::uint64_t tokens) noexcept {
  if (turn_) worker_.pool.settle(std::exchange(turn_, nullptr), tokens);
}

}  // namespace sluice::proxy
