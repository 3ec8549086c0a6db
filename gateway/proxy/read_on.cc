// read_on(): after the client has left, on to what the upstream says it has used, where the conf asks for that.
#include "proxy/exchange.h"

namespace sluice::proxy {

// What comes is read, counted and dropped. Holds stay until finish(): the model is still at work for this call.
Task<void> Exchange::read_on() {
  if (!upstream_ || conf_->settings.drain_aborted.count() == 0) co_return;
  const net::Deadline until = net::Deadline::after(conf_->settings.drain_aborted);
  while (upstream_->head() == nullptr) {
    const bool more = co_await more_of_upstream(until);
    if (!more) co_return;
  }
  if (upstream_->head()->status != 200) co_return;
  dialect::AnswerKind kind = dialect::AnswerKind::kUndecided;
  if (filter_) kind = dialect::AnswerKind::kEvents;
  if (walk_) kind = dialect::AnswerKind::kObject;
  while (kind == dialect::AnswerKind::kUndecided) {
    kind = dialect::kind_of(upstream_->body().view());
    if (kind != dialect::AnswerKind::kUndecided) break;
    const bool more = co_await more_of_upstream(until);
    if (!more) co_return;
  }
  if (kind == dialect::AnswerKind::kEvents) {
    if (!filter_) filter_ = make_filter();
    co_await count_rest(until);
  } else if (kind == dialect::AnswerKind::kObject || kind == dialect::AnswerKind::kArray) {
    co_await gather_rest(until);
  }
}

Task<void> Exchange::count_rest(net::Deadline until) {
  Buffer dropped;
  std::size_t credited = upstream_->body().size();
  for (;;) {
    upstream_->taken(upstream_->body().size() - credited);
    const dialect::StreamState state = filter_->filter(upstream_->body(), dropped);
    dropped.clear();
    credited = upstream_->body().size();
    const bool open = state == dialect::StreamState::kOpen &&
                      conf_->chain->progress(call_, filter_->completion_tokens()) == policy::Extension::kGranted;
    if (!open) break;
    if (filter_->has_more() && !until.passed()) {
      co_await worker_.loop.yield();
      continue;
    }
    const bool more = co_await more_of_upstream(until);
    if (!more) break;
  }
  take_usage(*filter_);
}

Task<void> Exchange::gather_rest(net::Deadline until) {
  Buffer& body = upstream_->body();
  for (bool more = true; more;) {
    walk_arrived();
    const std::size_t arrived = body.size();
    body.consume(arrived);
    walked_bytes_ = 0;
    upstream_->taken(arrived);
    if (walk_->form() != dialect::WholeAnswer::Form::kOpen) break;
    more = co_await more_of_upstream(until);
  }
  take_walked_usage();
}

// Sleeps until something came. False: there is no more, or no more time.
Task<bool> Exchange::more_of_upstream(net::Deadline until) {
  if (upstream_->state() != http::CallState::kRunning) co_return false;
  const net::Wake woken = co_await wake_.wait(until);
  co_return woken == net::Wake::kNotified && !running_.drained;
}

}  // namespace sluice::proxy
