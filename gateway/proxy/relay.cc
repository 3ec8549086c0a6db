// relay(): from the head of an answer to its end. A stream goes on event by event; another answer is gathered while it
// is small, so that it leaves whole and with its length, and passed through beyond that.
#include <simdjson.h>

#include <algorithm>

#include "proxy/exchange.h"

namespace sluice::proxy {
namespace {

constexpr std::size_t kErrorBodyBytes = 64u << 10;
constexpr std::size_t kTailBytes = 64u << 10;  // of a passed-through answer, where its usage stands
constexpr std::chrono::milliseconds kUpstreamEndGrace{20};

bool starts_with(std::string_view text, std::string_view start) noexcept {
  return boost::beast::iequals(text.substr(0, start.size()), start);
}

constexpr Error kEndedEarly = {ErrorKind::kProtocol,          Origin::kUpstream, Retry::kNo, 0, 0,
                               "the model's answer broke off"};
constexpr Error kTooLong = {ErrorKind::kProtocol,
                            Origin::kUpstream,
                            Retry::kNo,
                            0,
                            0,
                            "the model's answer is larger than this gateway passes on ([route] answer_limit)"};
constexpr Error kSilent = {ErrorKind::kTimeout, Origin::kUpstream, Retry::kNo, 0, 0, "the model fell silent"};

// The usage member of a long answer stands near its end: find it there without the rest.
std::optional<openai::UsageReading> find_usage_in_tail(const openai::Endpoint& endpoint, std::string_view tail) {
  constexpr std::string_view kName = "\"usage\"";
  const std::size_t at = tail.rfind(kName);
  if (at == std::string_view::npos) return std::nullopt;
  Buffer object;
  object.append("{");
  object.append(tail.substr(at));
  // What follows the member is the rest of the outer object: its closing brace closes ours as well.
  (void)object.prepare(simdjson::SIMDJSON_PADDING);
  return openai::find_usage(endpoint, object.view());
}

}  // namespace

Task<Status> Exchange::relay() {
  const http::AnswerHead& head = *upstream_->head();
  if (head.status < 200 || head.status >= 300) co_return co_await relay_error();
  if (!head.content_encoding.empty() && head.content_encoding != "identity")
    co_return upstream_error(ErrorKind::kProtocol,
                             "the model server compressed an answer that was asked for as identity");
  if (starts_with(head.content_type, "text/event-stream")) co_return co_await relay_stream();
  if (begun_ != Begun::kNothing || !starts_with(head.content_type, "application/json"))
    co_return upstream_error(ErrorKind::kProtocol, "the model server answered with something else than was asked for");
  co_return co_await relay_whole();
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
  add_cors_headers(headers, head_.fields[http::Field::origin], cors_.origins);
}

void Exchange::note_first_byte() noexcept {
  if (outcome_.ttft.count() >= 0) return;
  outcome_.ttft = std::chrono::duration_cast<std::chrono::microseconds>(worker_.clock.mono() - call_.began_mono);
}

openai::StreamFilter::Options Exchange::filter_options() const noexcept {
  return {.client_wants_usage = asked_.include_usage,
          .choices = asked_.choices,
          .prompt_estimate = call_.prompt_estimate,
          .event_limit_bytes = conf_->settings.event_bytes,
          .claim_limit = claim_limit()};
}

// The most that the call can have used: a prompt no longer than the model's context, an output within the cap that was
// sent. Bytes bound no prompt, because images, files and stored context cost tokens without any.
openai::ClaimLimit Exchange::claim_limit() const noexcept {
  const std::string_view model = model_->upstream_name.empty() ? std::string_view(call_.model) : model_->upstream_name;
  const std::uint64_t context = lease_->context_length(model);
  const std::uint64_t most = conf_->settings.max_claim;
  const auto times = [](std::uint64_t tokens, std::uint64_t n) { return std::min(tokens, std::uint64_t{1} << 40) * n; };
  openai::ClaimLimit limit{.prompt = most, .completion = most};
  if (context != 0) limit = {.prompt = times(context, asked_.prompts), .completion = times(context, asked_.choices)};
  if (const std::optional<std::uint64_t> cap = openai::cap_sent(asked_, clamp()))
    limit.completion = times(*cap, asked_.choices);
  return limit;
}

// What outcome_ holds until now is our own count: it stays where the upstream is not believed.
void Exchange::take_usage(openai::UsageReading told) noexcept {
  if (!claim_limit().allows(told.usage)) told.doubt = openai::UsageDoubt::kClaim;
  if (told.doubt != openai::UsageDoubt::kClaim) outcome_.usage = told.usage;
  tell_doubt(told);
}

void Exchange::take_usage(const openai::StreamFilter& filter) noexcept {
  outcome_.usage = filter.usage(call_.prompt_estimate);
  if (filter.told()) tell_doubt(*filter.told());
}

void Exchange::tell_doubt(const openai::UsageReading& told) const noexcept {
  if (told.doubt == openai::UsageDoubt::kNone || worker_.doubts == nullptr) return;
  worker_.doubts->tell(told.doubt, place_name_, call_.model, told.usage, claim_limit());
}

Task<Status> Exchange::relay_stream() {
  begin_stream();
  if (!upstream_->holds_request()) drop_request();
  openai::StreamFilter& filter = filter_.emplace(*route_.endpoint, filter_options());
  const Status passed = co_await pass_events(filter);
  take_usage(filter);
  model_served_.assign(filter.model());
  if (!passed) co_return passed;
  co_await let_upstream_end();
  // Settled before the last bytes leave: who has read the end finds limits and budgets settled.
  finish();
  (void)co_await client_.finish();  // a client that closes at [DONE] has what it wanted
  co_return ok();
}

// Until the stream's own end, whose bytes are left pending. Error: it broke off.
Task<Status> Exchange::pass_events(openai::StreamFilter& filter) {
  const ExchangeSettings& settings = conf_->settings;
  net::Deadline ping = net::Deadline::after(settings.ping_interval);
  net::Deadline silence = net::Deadline::after(settings.upstream_silence);
  // Of an unfinished event; has its credit already, or one larger than the window would never end.
  std::size_t held = 0;
  for (;;) {
    const std::size_t arrived = upstream_->body().size();
    const openai::StreamState state = filter_arrived(filter);
    const std::size_t rest = upstream_->body().size();
    if (state == openai::StreamState::kBroken) co_return kEndedEarly;
    if (state != openai::StreamState::kOpen) co_return ok();
    if (client_.pending_bytes() != 0) {
      note_first_byte();
      SLUICE_CO_TRY(co_await client_.flush());
      ping = net::Deadline::after(settings.ping_interval);
      silence = net::Deadline::after(settings.upstream_silence);
    }
    if (arrived != held) upstream_->taken(arrived - held);
    held = rest;
    if (upstream_->body().empty()) upstream_->body().release();  // until the next event
    if (upstream_->body().size() != rest) continue;
    if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();
    const Result<net::Wake> woken = co_await next({std::min(ping.at, silence.at)});
    if (!woken) co_return woken.error();
    if (*woken == net::Wake::kNotified) continue;
    if (silence.passed()) co_return kSilent;
    client_.append(": ping\n\n");
    SLUICE_CO_TRY(co_await client_.flush());
    ping = net::Deadline::after(settings.ping_interval);
  }
}

// Moves what has arrived, filtered, to the client's pending bytes.
openai::StreamState Exchange::filter_arrived(openai::StreamFilter& filter) {
  Buffer& out = client_.chunk();
  openai::StreamState state = filter.filter(upstream_->body(), out);
  const bool ended = upstream_->state() == http::CallState::kEnded;
  if (state == openai::StreamState::kDone || (state == openai::StreamState::kOpen && ended)) {
    state = filter.finish(out);
    outcome_.reason = EndReason::kCompleted;
  } else if (state == openai::StreamState::kError) {
    outcome_.reason = EndReason::kUpstreamFailed;
    client_.close_after_answer();
  } else if (state == openai::StreamState::kOpen &&
             conf_->chain->progress(call_, filter.completion_tokens()) == policy::Extension::kCut) {
    filter.cut(out);
    outcome_.reason = EndReason::kBudgetCut;
    state = openai::StreamState::kDone;
  }
  return state;
}

// The end of the stream and the end of its transfer come within moments: wait for it, so that the connection or stream
// behind ends cleanly instead of by a cancel.
Task<void> Exchange::let_upstream_end() {
  if (outcome_.reason != EndReason::kCompleted) co_return;
  const net::Deadline grace = net::Deadline::after(kUpstreamEndGrace);
  while (upstream_->state() == http::CallState::kRunning) {
    const std::size_t rest = upstream_->body().size();
    upstream_->body().consume(rest);
    upstream_->taken(rest);
    if (co_await wake_.wait(grace) == net::Wake::kDeadline) co_return;
  }
}

// Until the answer is whole in upstream_->body(), or is larger than `limit_bytes`.
Task<Status> Exchange::gather(std::size_t limit_bytes) {
  const net::Deadline silence = net::Deadline::after(conf_->settings.upstream_silence);
  std::size_t credited = 0;
  for (;;) {
    const std::size_t arrived = upstream_->body().size();
    upstream_->taken(arrived - credited);
    credited = arrived;
    if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();
    if (upstream_->state() == http::CallState::kEnded || arrived > limit_bytes) co_return ok();
    const Result<net::Wake> woken = co_await next(silence);
    if (!woken) co_return woken.error();
    if (*woken == net::Wake::kDeadline) co_return kSilent;
  }
}

Task<Status> Exchange::relay_whole() {
  const std::size_t limit = conf_->settings.answer_bytes;
  if (upstream_->head()->content_length.value_or(0) > limit) co_return kTooLong;
  SLUICE_CO_TRY(co_await gather(std::min(conf_->settings.whole_answer_bytes, limit)));
  if (upstream_->body().size() > limit) co_return kTooLong;
  note_first_byte();
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  add_answer_headers(headers);
  outcome_.status = upstream_->head()->status;
  if (upstream_->state() != http::CallState::kEnded) co_return co_await pass_through(headers);
  Buffer answer = std::move(upstream_->body());
  (void)answer.prepare(simdjson::SIMDJSON_PADDING);
  if (const std::optional<openai::ErrorAnswer> error = openai::error_in_answer(answer.view())) {
    outcome_.reason = EndReason::kUpstreamError;
    co_await answer_error(*error, retry_after_of(*upstream_->head(), error->status, worker_.clock.wall()));
    co_return ok();
  }
  std::array<char, 256> model;
  model_served_.assign(openai::find_model(answer.view(), model));
  complete(openai::find_usage(*route_.endpoint, answer.view()), answer.size(), answer.size());
  (void)co_await client_.respond(outcome_.status, headers.span(), answer.view());
  co_return ok();
}

// An answer too large to gather: as it comes, its last bytes kept for the usage in them.
Task<Status> Exchange::pass_through(ReplyHeaders& headers) {
  begun_ = Begun::kBody;
  client_.begin(outcome_.status, headers.span());
  Buffer tail;
  std::size_t passed = 0;
  for (std::size_t credit = 0;; credit = upstream_->body().size()) {
    if (credit != 0) upstream_->taken(credit);  // what was gathered before has its credit already
    Buffer& body = upstream_->body();
    passed += body.size();
    if (passed > conf_->settings.answer_bytes) co_return kTooLong;
    client_.append(body.view());
    tail.append(body.view().substr(body.size() - std::min(body.size(), kTailBytes)));
    if (tail.size() > 2 * kTailBytes) tail.consume(tail.size() - kTailBytes);
    body.consume(body.size());
    if (upstream_->state() == http::CallState::kFailed) co_return upstream_->error();
    if (upstream_->state() == http::CallState::kEnded) break;
    SLUICE_CO_TRY(co_await client_.flush());
    if (!body.empty()) continue;
    const Result<net::Wake> woken = co_await next(net::Deadline::after(conf_->settings.upstream_silence));
    if (!woken) co_return woken.error();
    if (*woken == net::Wake::kDeadline) co_return kSilent;
  }
  complete(find_usage_in_tail(*route_.endpoint, tail.view()), passed, 0);
  (void)co_await client_.finish();
  co_return ok();
}

// The answer is whole: settle before its last bytes leave.
void Exchange::complete(std::optional<openai::UsageReading> told, std::size_t answer_bytes,
                        std::size_t unsent_bytes) noexcept {
  outcome_.reason = EndReason::kCompleted;
  outcome_.usage = {
      .source = UsageSource::kEstimated,
      .prompt_tokens = call_.prompt_estimate,
      .completion_tokens = call_.output_cap == 0 ? 0 : std::min((answer_bytes + 3) / 4, claim_limit().completion)};
  if (told) take_usage(*told);
  outcome_.bytes_out += unsent_bytes;
  finish();
}

// The upstream answered with an error of its own.
Task<Status> Exchange::relay_error() {
  const http::AnswerHead head = *upstream_->head();
  if (upstream_->state() == http::CallState::kRunning)  // else send() has gathered it
    (void)co_await gather(kErrorBodyBytes);             // whatever could be had of it
  if (const Status now = interrupted(); !now) co_return now;
  Buffer body = std::move(upstream_->body());
  if (body.size() > kErrorBodyBytes) body.truncate(kErrorBodyBytes);
  (void)body.prepare(simdjson::SIMDJSON_PADDING);
  const openai::ErrorAnswer answer = openai::upstream_answer(head.status, head.content_type, body.view());
  outcome_.reason = EndReason::kUpstreamError;
  tell_operator(answer, head.status);
  co_await answer_error(answer, retry_after_of(head, answer.status, worker_.clock.wall()));
  co_return ok();
}

}  // namespace sluice::proxy
