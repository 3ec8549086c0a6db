// Answers that came in the other form than was asked for: a whole one for a stream, a stream for a whole one.
#include <simdjson.h>

#include <algorithm>

#include "proxy/exchange.h"
#include "proxy/relay_errors.h"

namespace sluice::proxy {
namespace {

constexpr const char* kNotStreamed =
    "The model server sent a whole answer where a stream was asked for, and no stream can be made of it. Call it "
    "without \"stream\": true.";
constexpr const char* kNotWhole =
    "The model server sent a stream where a whole answer was asked for, and none can be made of it. Call it with "
    "\"stream\": true.";

}  // namespace

Task<Status> Exchange::relay_whole_as_stream() {
  const std::size_t limit = conf_->settings.answer_bytes;
  if (upstream_->head()->content_length.value_or(0) > limit) co_return kTooLong;
  const auto ping_interval = conf_->settings.ping_interval;
  SLUICE_CO_TRY(co_await gather(limit, is_on_its_own() ? net::Deadline::never() : net::Deadline::after(ping_interval)));
  if (upstream_->body().size() > limit) co_return kTooLong;
  walk_arrived();
  if (walk_->says_error()) co_return co_await answer_said_error();
  if (walk_->form() != dialect::WholeAnswer::Form::kWhole || !walk_->is_answer())
    co_return co_await answer_nothing(kNoAnswer);
  if (asked_.background && walk_->runs_on()) co_return co_await relay_whole();  // there is nothing to stream yet
  Buffer events;
  const Spoken its = spoken();
  if (its.dialect.append_as_events(events, its.endpoint, upstream_->body().view()) == dialect::Converted::kNot)
    co_return co_await answer_nothing(kNotStreamed);
  if (!holding_.set(events.size())) co_return kHoldsTooMuch;
  upstream_->body().release();
  walked_bytes_ = 0;
  begin_stream();
  note_first_byte();
  filter_ = make_filter();
  dialect::EventFilter& filter = *filter_;
  dialect::StreamState state = filter.filter(events, client_.chunk());
  while (filter.has_more()) state = filter.filter(events, client_.chunk());
  if (state == dialect::StreamState::kDone) state = filter.finish(client_.chunk());
  note_kept(filter.kept_ids());
  take_usage(filter);
  model_served_.assign(filter.model());
  if (state != dialect::StreamState::kDone) co_return kEndedEarly;
  outcome_.reason = EndReason::kCompleted;
  finish();
  (void)co_await client_.finish();
  co_return ok();
}

Task<Status> Exchange::relay_stream_as_whole() {
  dialect::FilterOptions options = filter_options();
  options.client_wants_usage = true;
  const Spoken its = spoken();
  filter_ = its.dialect.filter(its.endpoint, options);
  dialect::EventFilter& filter = *filter_;
  const std::unique_ptr<dialect::Assembly> assembled = its.dialect.assembly(its.endpoint);
  const Status gathered = co_await assemble(filter, *assembled);
  take_usage(filter);
  model_served_.assign(filter.model());
  if (!gathered) co_return gathered.error();
  Buffer answer;
  if (!assembled->error().empty()) {
    answer.append(assembled->error());
  } else if (assembled->append_to(answer) == dialect::Converted::kNot) {
    co_return co_await answer_nothing(kNotWhole);
  }
  (void)answer.prepare(simdjson::SIMDJSON_PADDING);
  if (std::optional<dialect::ErrorAnswer> error = dialect().error_in_answer(answer.view())) {
    take_said_usage();
    outcome_.reason = EndReason::kUpstreamError;
    co_await answer_error(*error, retry_after_of(*upstream_->head(), error->status, worker_.clock.wall()));
    co_return ok();
  }
  note_kept(filter.kept_ids());
  if (is_translated()) {
    const Result<dialect::Converted> made = co_await translate_answer(answer, nullptr);
    if (!made) co_return made.error();
    if (*made == dialect::Converted::kNot) co_return co_await answer_nothing(kNotWhole);
  }
  note_first_byte();
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  add_answer_headers(headers);
  outcome_.status = 200;
  outcome_.reason = end_reason_of(filter.ending());
  outcome_.bytes_out += answer.size();
  finish();
  (void)co_await client_.respond(outcome_.status, headers.span(), answer.view());
  co_return ok();
}

// Until the stream's own end. Error: it broke off, or says more than [route] answer_limit.
Task<Status> Exchange::assemble(dialect::EventFilter& filter, dialect::Assembly& into) {
  net::Deadline ping = net::Deadline::never();
  Buffer events;
  std::size_t held = 0;  // of an unfinished event; has its credit already
  for (;;) {
    const net::Deadline silence = net::Deadline::after(lease_->times().gap);
    const std::size_t arrived = upstream_->body().size();
    dialect::StreamState state = filter.filter(upstream_->body(), events);
    const bool ended = upstream_->state() == http::CallState::kEnded && !filter.has_more();
    if (state == dialect::StreamState::kDone || (state == dialect::StreamState::kOpen && ended))
      state = filter.finish(events);
    into.take(events);
    if (state == dialect::StreamState::kBroken) co_return kEndedEarly;
    if (into.size_bytes() > conf_->settings.answer_bytes) co_return kTooLong;
    if (state != dialect::StreamState::kOpen) co_return ok();
    if (!holding_.set(into.size_bytes() + filter.held_bytes())) co_return kHoldsTooMuch;
    const std::size_t rest = upstream_->body().size();
    const std::size_t done = filter.has_more() ? arrived - rest : arrived;
    if (done > held) upstream_->taken(done - held);
    held = filter.has_more() ? held - std::min(held, done) : rest;
    if (filter.has_more()) {
      co_await worker_.loop.yield();
      SLUICE_CO_TRY(interrupted());
      continue;
    }
    if (upstream_->body().size() != rest) continue;
    if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();
    SLUICE_CO_TRY(co_await await_more(ping, silence));
  }
}

}  // namespace sluice::proxy
