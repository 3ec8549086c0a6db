// From the name of a model to the head of an answer. Sends to a place with a free slot (acquire.cc), and tries another
// only where nothing can have been generated.
#include <algorithm>
#include <limits>

#include "base/ids.h"
#include "identity/sha256.h"
#include "proxy/exchange.h"
#include "proxy/place_errors.h"

namespace sluice::proxy {
namespace {

constexpr Error kStopping = self_error(ErrorKind::kUnavailable, "this gateway is stopping; retry");

}  // namespace

// A model that nobody knows is not found, unless an upstream has yet to say what it serves: then the call waits for it
// as it would for a known model that cannot be reached.
Task<Status> Exchange::await_model() {
  const net::Deadline hold = net::Deadline::after(conf_->settings.hold);
  const upstream::Pool::Waiter waiter(worker_.pool, wanted(asked_.model), wake_);
  client_.watch_client(&wake_);
  while (worker_.pool.learning()) {
    const Result<net::Wake> woken = co_await next(hold);
    if (!woken) co_return woken.error();
    conf_ = worker_.conf;  // the one that knows what was learned
    if (find_model()) co_return ok();
    if (*woken == net::Wake::kDeadline) co_return is_of_stored() ? kKeeperAway : kNoPlace;
  }
  if (is_of_stored()) co_return kKeeperAway;
  // The name may carry anything: what is kept of it is a hash.
  model_hash_ = "sha256:" + identity::to_hex(identity::sha256(asked_.model)).substr(0, 16);
  call_.model = model_hash_;
  co_return client_error(ErrorKind::kModelNotFound, "");
}

Task<Status> Exchange::send() {
  client_.watch_client(&wake_);
  Tried tried;
  upstream::Lease next;
  if (keeper_.empty() && !is_of_stored() && !is_about_kept(endpoint()))
    fallbacks_ = worker_.pool.fallbacks(wanted(call_.model));
  const MonoTime now = Mono::now();
  const Patience patience{.hold = {now + conf_->settings.hold}, .queue = {now + conf_->settings.queue_time}};
  if (call_.stream && !asked_.background) ping_ = {now + conf_->settings.first_ping};
  for (std::size_t attempt = 1;; ++attempt) {
    first_token_until_ = total_until_ = net::Deadline::never();
    if (!next && !fallbacks_.empty()) SLUICE_CO_TRY(prefer_fallback(tried, next));
    if (!next) {
      Result<upstream::Lease> lease = co_await acquire(tried, patience);
      if (!lease) co_return lease.error();
      next = std::move(*lease);
    }
    lease_ = std::move(next);
    avoid_lacked_endpoint();
    if (lease_.endpoint() != match_.number) {
      SLUICE_CO_TRY(co_await translate());
      if (!translation_) {
        lease_.release();  // a place that has the endpoint itself may be there
        continue;
      }
    }
    if (asked_.upload) SLUICE_CO_TRY(co_await edit_upload());
    choose_members(*lease_);
    Status head = co_await ask();
    while (head) {
      Result<Again> again = Again::kNo;
      if (can_fall_back())
        again = co_await fall_back();
      else
        again = co_await take_back();
      if (!again) co_return again.error();
      if (*again == Again::kNo) break;
      head = co_await ask();
    }
    if (head)
      judge_head();
    else
      judge_failed(head.error());
    const Result<Again> elsewhere = go_elsewhere(head, attempt, tried, next);
    if (!elsewhere) co_return elsewhere.error();
    if (*elsewhere == Again::kYes) continue;
    if (head) {
      remember_refused();
      co_return ok();
    }
    // Whatever we ended was sent, and the model may have read it, as may one whose time ran out: refuse() charges that.
    if (upstream_->state() != http::CallState::kFailed || head.error().kind == ErrorKind::kTimeout) co_return head;
    const bool again = head.error().retry == Retry::kYes;
    upstream_.reset();
    if (!again || begun_ != Begun::kNothing || attempt >= conf_->settings.attempts) co_return head;
    log_attempt(head);
    // A tunnel that leaves or is gone is not its place: another tunnel of the same agent may be there, or come.
    if (head.error().kind != ErrorKind::kUnavailable) tried.push_back(&*lease_);
    lease_.release();
  }
}

Task<Status> Exchange::ask() {
  prepare(*lease_);
  if (outcome_.attempts != std::numeric_limits<std::uint8_t>::max()) ++outcome_.attempts;
  attempt_began_ = Mono::now();
  judged_ = false;
  const upstream::CallTimes bounds = times();
  if (call_.stream && bounds.first_token.count() != 0) first_token_until_ = {attempt_began_ + bounds.first_token};
  if (bounds.total.count() != 0) total_until_ = {attempt_began_ + bounds.total};
  upstream_ = lease_->start(request_->outgoing, wake_);
  co_return co_await await_head();
}

// The request as this place wants it: edits are splices, everything else goes byte for byte.
void Exchange::prepare(upstream::Place& place) {
  dialect::Edits edits;
  edits.ask_for_usage = added_.usage;
  edits.cap_member = added_.cap;
  edits.clamp_output_to = clamp();
  const std::string_view model = called(place);
  const bool named_in_body = !is_about_kept(endpoint());
  if (named_in_body && (model != asked_.model || !match_.model.empty())) edits.model = model;
  UpstreamRequest& request = *request_;
  const policy::Caller& caller = call_.caller;
  const Spoken spoken = this->spoken();
  if (!spoken.asked.prompt_cache_key.empty())
    edits.prompt_cache_key =
        worker_.scope.scoped(caller.tenant_id, caller.user_id, spoken.asked.prompt_cache_key, request.cache_key);
  request.headers.clear();
  if (!is_of_stored()) {  // which has no body
    spoken.dialect.edit_body(spoken.endpoint, spoken.asked, spoken_body(), edits, request.edited);
    const bool form = endpoint().body == dialect::BodyKind::kMultipart;
    request.headers.add("content-type", form ? content_type() : "application/json");
  }
  request.headers.add("accept", call_.stream                                    ? "text/event-stream"
                                : asked_.answer == dialect::AnswerForm::kObject ? "application/json"
                                                                                : "*/*");
  request.headers.add("accept-encoding", "identity");
  request.headers.add("x-request-id", call_.request_id);
  if (trace_) {
    const observe::TraceContext::Text parent = trace_->with_span(random_id()).text();
    request.headers.add_copy("traceparent", {parent.data(), parent.size()});
    if (!trace_state_.empty()) request.headers.add("tracestate", trace_state_);
  }
  const Forwarded forwarded = forward_headers(conf_->forward, head_.fields, caller, worker_.scope, request.headers);
  if (forwarded == Forwarded::kSome && worker_.doubts != nullptr)
    worker_.doubts->tell_left_out(call_.request_id, kMostForwarded);
  for (const http::Header& header : place.headers()) request.headers.add(header.name, header.value);
  request.outgoing = {.method = spoken.endpoint.method,
                      .path = path_at(place, model),
                      .headers = request.headers.span(),
                      .body = {request.edited.parts.data(), request.edited.count}};
  place_name_.assign(place.name());
}

// The call's model as the place knows it.
std::string_view Exchange::called(const upstream::Place& place) const noexcept {
  if (model_ == nullptr) return {};  // a file may be of none
  return place.called(model_->upstream_name.empty() ? call_.model : std::string_view(model_->upstream_name));
}

// A cap that a translation left out is put in as one of ours, under the name that the place knows.
std::optional<std::uint64_t> Exchange::clamp() const noexcept {
  const std::uint64_t ours = call_.clamp_output_to;
  if (is_translated() && translated_->asked.cap_count == 0 && asked_.output_cap)
    return ours == 0 ? *asked_.output_cap : std::min(ours, *asked_.output_cap);
  return ours == 0 ? std::nullopt : std::optional(ours);
}

void Exchange::drop_request() noexcept {
  if (!request_) return;
  worker_.held.give(request_->body_held_bytes);
  request_.reset();
}

// Until the upstream's head is there; a stream that waits long is opened with a ping.
Task<Status> Exchange::await_head() {
  const net::Deadline silence = net::Deadline::after(times().head);
  while (upstream_->head() == nullptr) {
    if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();
    const Result<net::Wake> woken = co_await next({std::min(ping_.at, silence.at)});
    if (!woken) co_return woken.error();
    if (silence.passed()) co_return upstream_error(ErrorKind::kTimeout, "the model did not begin to answer in time");
    if (!ping_.passed()) continue;
    begin_stream();
    client_.append(dialect().ping());
    SLUICE_CO_TRY(co_await client_.flush());
    ping_ = net::Deadline::after(conf_->settings.ping_interval);
  }
  co_return ok();
}

Status Exchange::interrupted() const noexcept {
  if (is_on_its_own()) return running_.drained ? Status(kStopping) : ok();
  if (client_.gone()) return client_error(ErrorKind::kClosed, "the client left");
  if (!key_->live(worker_.clock.wall()))
    return client_error(ErrorKind::kInvalidKey, "this API key was revoked or suspended");
  if (running_.drained) return kStopping;
  return ok();
}

upstream::CallTimes Exchange::times() const noexcept {
  upstream::CallTimes times = lease_->times();
  if (model_ == nullptr) return times;
  const auto set = [](std::chrono::milliseconds& time, std::chrono::milliseconds own) {
    if (own.count() != 0) time = own;
  };
  set(times.head, model_->times.head);
  set(times.gap, model_->times.gap);
  set(times.first_token, model_->times.first_token);
  set(times.total, model_->times.total);
  return times;
}

// Whatever interrupts a call notifies its signal, so that one look behind the wait sees it.
Task<Result<net::Wake>> Exchange::next(net::Deadline deadline) {
  constexpr Error kNoToken = upstream_error(
      ErrorKind::kTimeout, "the model sent no first token in the time that its first_token_time gives it");
  constexpr Error kTooLate =
      upstream_error(ErrorKind::kTimeout, "the model's answer took longer in all than its total_time gives it");
  const net::Deadline first = outcome_.ttft.count() < 0 ? first_token_until_ : net::Deadline::never();
  const net::Deadline bound{std::min(first.at, total_until_.at)};
  const net::Wake wake = co_await wake_.wait({std::min(deadline.at, bound.at)});
  if (const Status now = interrupted(); !now) co_return now.error();
  if (bound.at != MonoTime::max() && bound.passed()) co_return total_until_.passed() ? kTooLate : kNoToken;
  co_return wake;
}

}  // namespace sluice::proxy
