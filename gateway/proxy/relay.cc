// relay(): from the head of an answer to its end. What the answer is, its bytes decide. A stream goes on event by event;
// what goes on as a whole is in relay_whole.cc, and what came in the other form in relay_converted.cc.
#include <simdjson.h>

#include <algorithm>

#include "base/text.h"
#include "http/field_text.h"
#include "proxy/exchange.h"
#include "proxy/relay_errors.h"

namespace sluice::proxy {
namespace {

constexpr std::size_t kErrorBodyBytes = 64u << 10;
constexpr std::chrono::milliseconds kUpstreamEndGrace{20};

// Encodings that leave the bytes as they are, in any spelling.
bool is_plain(std::string_view encoding) noexcept {
  encoding = trimmed(encoding);
  return encoding.empty() || boost::beast::iequals(encoding, "identity");
}

}  // namespace

Task<Status> Exchange::relay() {
  const http::AnswerHead& head = *upstream_->head();
  if (head.status < 200 || head.status >= 300) co_return co_await relay_error();
  if (!is_plain(head.content_encoding))
    co_return upstream_error(ErrorKind::kProtocol,
                             "the model server compressed an answer that was asked for as identity");
  const Result<dialect::AnswerKind> kind = co_await await_kind();
  if (!kind) co_return kind.error();
  if (asked_.answer != dialect::AnswerForm::kObject && !call_.stream) co_return co_await relay_plain(*kind);
  if (*kind == dialect::AnswerKind::kEvents) {
    if (call_.stream) co_return co_await relay_stream();
    co_return co_await relay_stream_as_whole();
  }
  if (*kind == dialect::AnswerKind::kObject || *kind == dialect::AnswerKind::kArray) {
    if (call_.stream) co_return co_await relay_whole_as_stream();
    co_return co_await relay_whole();
  }
  co_return co_await answer_nothing(kNoAnswer);
}

// Until the first bytes of the answer say what it is. kUndecided: it ended before they did.
Task<Result<dialect::AnswerKind>> Exchange::await_kind() {
  const net::Deadline silence = net::Deadline::after(times().gap);
  const std::chrono::milliseconds first =
      begun_ == Begun::kNothing ? conf_->settings.first_ping : conf_->settings.ping_interval;
  const bool pings = call_.stream && !is_on_its_own();
  net::Deadline ping = pings ? net::Deadline::after(first) : net::Deadline::never();
  for (;;) {
    Buffer& body = upstream_->body();
    const dialect::AnswerKind kind = dialect::kind_of(body.view());
    if (kind != dialect::AnswerKind::kUndecided) co_return kind;
    if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();
    if (upstream_->state() == http::CallState::kEnded) co_return kind;
    if (asked_.answer != dialect::AnswerForm::kObject) {  // of which white space may be a part
      constexpr std::size_t kEnoughBytes = 64;
      if (body.size() > kEnoughBytes) co_return dialect::AnswerKind::kOther;
      const Status more = co_await await_more(ping, silence);
      if (!more) co_return more.error();
      continue;
    }
    // Some servers send white space to show that they are alive.
    const std::size_t white = std::min(body.view().find_first_not_of(" \t\r\n"), body.size());
    body.consume(white);
    if (white != 0) upstream_->taken(white);
    const Status more = co_await await_more(ping, silence);
    if (!more) co_return more.error();
  }
}

// Sleeps until something came. The client of a stream hears a ping where it has to wait long.
Task<Status> Exchange::await_more(net::Deadline& ping, net::Deadline silence) {
  const Result<net::Wake> woken = co_await next({std::min(ping.at, silence.at)});
  if (!woken) co_return woken.error();
  if (*woken == net::Wake::kNotified) co_return ok();
  if (silence.passed()) co_return kSilent;
  if (!ping.passed()) co_return ok();
  begin_stream();
  client_.append(dialect().ping());
  ping = net::Deadline::after(conf_->settings.ping_interval);
  co_return co_await client_.flush();
}

void Exchange::begin_stream() {
  if (begun_ != Begun::kNothing) return;
  begun_ = Begun::kStream;
  worker_.metrics.streams(1);
  ReplyHeaders headers;
  headers.add("content-type", "text/event-stream; charset=utf-8");
  headers.add("cache-control", "no-cache");
  headers.add("x-accel-buffering", "no");
  add_answer_headers(headers);
  outcome_.status = 200;
  client_.begin(200, headers.span());
}

void Exchange::add_answer_headers(ReplyHeaders& headers) const noexcept {
  add_call_headers(headers, call_);
  if (const std::string_view own = dialect().request_id_header(); !own.empty()) headers.add(own, call_.request_id);
  if (is_translated()) headers.add("x-sluice-translated", translated_->detour.text);
  if (outcome_.attempts != 0 && http::is_field_value(place_name_)) {
    headers.add("x-sluice-upstream", place_name_);
    headers.add_number("x-sluice-attempts", outcome_.attempts);
  }
  if (fell_back_ && http::is_field_value(call_.model)) headers.add("x-sluice-model", call_.model);
  if (upstream_ && upstream_->head() != nullptr) add_upstream_headers(headers, *upstream_->head());
  add_cors_headers(headers, head_.fields[http::Field::origin], cors_.origins);
}

void Exchange::note_first_byte() noexcept {
  if (outcome_.ttft.count() >= 0) return;
  const MonoTime now = worker_.clock.mono();
  outcome_.ttft = std::chrono::duration_cast<std::chrono::microseconds>(now - call_.began_mono);
  if (call_.stream && lease_.standing() != nullptr)
    lease_.standing()->first_token.note(std::chrono::duration_cast<std::chrono::microseconds>(now - attempt_began_),
                                        now);
}

dialect::FilterOptions Exchange::filter_options() const noexcept {
  return {.client_wants_usage = asked_.wants_usage || is_translated(),
          .choices = spoken().asked.choices,
          .prompt_estimate = call_.prompt_estimate,
          .event_limit_bytes = conf_->settings.event_bytes,
          .claim_limit = claim_limit(),
          .secret = lease_->secret()};
}

Task<Status> Exchange::relay_stream() {
  begin_stream();
  if (!upstream_->holds_request()) drop_request();
  filter_ = make_filter();
  dialect::EventFilter& filter = *filter_;
  const Status passed = co_await pass_events(filter);
  take_usage(filter);
  model_served_.assign(filter.model());
  if (!passed) co_return passed;
  co_await let_upstream_end();
  settle_kept();
  // Settled before the last bytes leave: who has read the end finds limits and budgets settled.
  finish();
  (void)co_await client_.finish();  // a client that closes at [DONE] has what it wanted
  co_return ok();
}

// Until the stream's own end, whose bytes are left pending. Error: it broke off.
Task<Status> Exchange::pass_events(dialect::EventFilter& filter) {
  const ExchangeSettings& settings = conf_->settings;
  net::Deadline ping = net::Deadline::after(settings.ping_interval);
  const std::chrono::milliseconds gap = times().gap;
  net::Deadline silence = net::Deadline::after(gap);
  // Of an unfinished event; has its credit already, or one larger than the window would never end.
  std::size_t held = 0;
  for (;;) {
    const std::size_t arrived = upstream_->body().size();
    const dialect::StreamState state = filter_arrived(filter);
    const std::size_t rest = upstream_->body().size();
    if (asked_.stored.keep) note_kept(filter.kept_ids());
    if (asked_.background && state == dialect::StreamState::kOpen) SLUICE_CO_TRY(co_await keep_stream(filter));
    if (state == dialect::StreamState::kBroken) co_return kEndedEarly;
    if (state != dialect::StreamState::kOpen) co_return ok();
    if (!holding_.set(client_.pending_bytes() + filter.held_bytes())) co_return kHoldsTooMuch;
    if (client_.pending_bytes() != 0) {
      note_first_byte();
      SLUICE_CO_TRY(co_await client_.flush());
      (void)holding_.set(filter.held_bytes());
      ping = net::Deadline::after(settings.ping_interval);
      silence = net::Deadline::after(gap);
    }
    // Whole events that wait for the next pass get their credit with it.
    const std::size_t done = filter.has_more() ? arrived - rest : arrived;
    if (done > held) upstream_->taken(done - held);
    held = filter.has_more() ? held - std::min(held, done) : rest;
    if (upstream_->body().empty()) upstream_->body().release();  // until the next event
    if (filter.has_more()) {
      // So many events came at once that others have their turn before the next.
      co_await worker_.loop.yield();
      SLUICE_CO_TRY(interrupted());
      continue;
    }
    if (upstream_->body().size() != rest) continue;
    if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();
    const Result<net::Wake> woken = co_await next({std::min(ping.at, silence.at)});
    if (!woken) co_return woken.error();
    if (*woken == net::Wake::kNotified) continue;
    if (silence.passed()) co_return kSilent;
    client_.append(dialect().ping());
    SLUICE_CO_TRY(co_await client_.flush());
    ping = net::Deadline::after(settings.ping_interval);
  }
}

// Moves what has arrived, filtered, to the client's pending bytes.
dialect::StreamState Exchange::filter_arrived(dialect::EventFilter& filter) {
  Buffer& out = client_.chunk();
  dialect::StreamState state = filter.filter(upstream_->body(), out);
  const bool ended = upstream_->state() == http::CallState::kEnded && !filter.has_more();
  if (state == dialect::StreamState::kDone || (state == dialect::StreamState::kOpen && ended)) {
    state = filter.finish(out);
    outcome_.reason = end_reason_of(filter.ending());
  } else if (state == dialect::StreamState::kError) {
    outcome_.reason = EndReason::kUpstreamFailed;
    client_.close_after_answer();
  } else if (state == dialect::StreamState::kOpen &&
             conf_->chain->progress(call_, filter.completion_tokens()) == policy::Extension::kCut) {
    filter.cut(out);
    outcome_.reason = EndReason::kBudgetCut;
    state = dialect::StreamState::kDone;
  }
  return state;
}

// The end of the stream and the end of its transfer come within moments: wait for it, so that the connection or stream
// behind ends cleanly instead of by a cancel.
Task<void> Exchange::let_upstream_end() {
  if (outcome_.reason == EndReason::kBudgetCut || outcome_.reason == EndReason::kUpstreamFailed) co_return;
  const net::Deadline grace = net::Deadline::after(kUpstreamEndGrace);
  while (upstream_->state() == http::CallState::kRunning) {
    const std::size_t rest = upstream_->body().size();
    upstream_->body().consume(rest);
    upstream_->taken(rest);
    if (co_await wake_.wait(grace) == net::Wake::kDeadline) co_return;
  }
}

// The upstream answered with an error of its own.
Task<Status> Exchange::relay_error() {
  const http::AnswerHead head = *upstream_->head();
  if (endpoint().work == dialect::Work::kCount && lacks_endpoint(head.status)) co_return co_await answer_count();
  if (upstream_->state() == http::CallState::kRunning)  // else send() has gathered it
    (void)co_await gather(kErrorBodyBytes);             // whatever could be had of it
  if (const Status now = interrupted(); !now) co_return now;
  Buffer body = std::move(upstream_->body());
  if (body.size() > kErrorBodyBytes) body.truncate(kErrorBodyBytes);
  (void)body.prepare(simdjson::SIMDJSON_PADDING);
  dialect::ErrorAnswer answer = dialect().upstream_answer(head.status, head.content_type, body.view());
  outcome_.reason = EndReason::kUpstreamError;
  tell_operator(answer, head.status);
  co_await answer_error(answer, retry_after_of(head, answer.status, worker_.clock.wall()));
  co_return ok();
}

}  // namespace sluice::proxy
