// A call at a place that has not its endpoint but one that a translation leads to: the body that the place is sent, the
// filter of its stream, and its whole answer. What is metered is what the place's dialect reads; the client gets its own.
// Here is also what is answered where no place could: the count of a prompt.
#include <simdjson.h>

#include <algorithm>

#include "proxy/exchange.h"
#include "proxy/relay_errors.h"

namespace sluice::proxy {
namespace {

constexpr std::size_t kKeptBetweenBytes = 64u << 10;

// A place's filter with a translator behind it: counts, claims, cut and errors are the filter's.
// Lifetime: what the translator's facts refer to outlives it.
class TranslatedFilter final : public dialect::EventFilter {
 public:
  TranslatedFilter(std::unique_ptr<dialect::EventFilter> filter, std::unique_ptr<dialect::EventTranslator> translator)
      : filter_(std::move(filter)), translator_(std::move(translator)) {}

  dialect::StreamState filter(Buffer& in, Buffer& out) noexcept override {
    const dialect::StreamState state = filter_->filter(in, between_);
    pass(out);
    return state;
  }
  [[nodiscard]] bool has_more() const noexcept override { return filter_->has_more(); }
  [[nodiscard]] std::size_t held_bytes() const noexcept override {
    return filter_->held_bytes() + translator_->held_bytes();
  }
  dialect::StreamState finish(Buffer& out) noexcept override {
    const dialect::StreamState state = filter_->finish(between_);
    pass(out);
    if (state == dialect::StreamState::kDone) translator_->finish(out);
    return state;
  }
  void cut(Buffer& out) noexcept override {
    filter_->cut(between_);
    pass(out);
    translator_->finish(out);
  }
  void fail(std::string_view event, std::string_view error, Buffer& out) noexcept override {
    translator_->fail(event, error, out);
  }
  [[nodiscard]] std::uint64_t completion_tokens() const noexcept override { return filter_->completion_tokens(); }
  [[nodiscard]] Usage usage(std::uint64_t prompt_estimate) const noexcept override {
    return filter_->usage(prompt_estimate);
  }
  [[nodiscard]] dialect::Ending ending() const noexcept override { return filter_->ending(); }
  [[nodiscard]] const std::optional<dialect::UsageReading>& told() const noexcept override { return filter_->told(); }
  [[nodiscard]] std::string_view model() const noexcept override { return filter_->model(); }

 private:
  void pass(Buffer& out) noexcept {
    if (between_.empty()) return;
    translator_->translate(between_.view(), out);
    between_.clear();
    if (between_.capacity() > kKeptBetweenBytes) between_.release();
  }

  std::unique_ptr<dialect::EventFilter> filter_;
  std::unique_ptr<dialect::EventTranslator> translator_;
  Buffer between_;  // events of the place's dialect
};

// A body to be translated, and read as the place will read it.
struct Translating final : LargeBodies::Job {
  Translating(net::Signal& wake, const dialect::Detour& detour_, std::string_view body_, Buffer& out_) noexcept
      : Job(wake), detour(detour_), body(body_), out(out_) {}

  void work(wire::Parser& parser) noexcept override {
    const Status made = detour.translation->append_call(out, body);
    if (!made) {
      result = made.error();
      return;
    }
    (void)out.prepare(simdjson::SIMDJSON_PADDING);
    result = detour.dialect->read_call(*detour.endpoint, out.view(), parser);
    detour.translation->append_settings(settings, body);
  }

  const dialect::Detour& detour;
  std::string_view body;
  Buffer& out;
  Buffer settings;
  Result<dialect::CallBody> result = self_error(ErrorKind::kInternal, "");
};

// A whole answer of the place as one of the client's. `walk`: is to be taken through it before; null: it has been.
struct TranslatingAnswer final : LargeBodies::Job {
  TranslatingAnswer(net::Signal& wake, const dialect::Detour& detour_, const dialect::AnswerFacts& facts_,
                    dialect::WholeAnswer* walk_, Buffer& answer_) noexcept
      : Job(wake), detour(detour_), facts(facts_), walk(walk_), answer(answer_) {}

  void work(wire::Parser&) noexcept override {
    if (walk != nullptr) walk->take(answer.view());
    if (walk != nullptr &&
        (walk->says_error() || !walk->is_answer() || walk->form() != dialect::WholeAnswer::Form::kWhole))
      return;
    (void)answer.prepare(simdjson::SIMDJSON_PADDING);
    converted = detour.translation->append_answer(out, answer.view(), facts);
  }

  const dialect::Detour& detour;
  const dialect::AnswerFacts facts;
  dialect::WholeAnswer* const walk;
  Buffer& answer;
  Buffer out;
  dialect::Converted converted = dialect::Converted::kNot;
};

}  // namespace

// Makes the call's body for the place of the lease, once; another attempt sends the same. What cannot be said there
// stands in translation_ then. Error: the call is over.
Task<Status> Exchange::translate() {
  if (translated_) co_return ok();
  const dialect::Detour& detour = *worker_.dialects.detour(match_.number);
  UpstreamRequest& request = *request_;
  Translating translating(wake_, detour, request.body.view(), request.translated);
  if (is_large()) {
    SLUICE_CO_TRY(co_await work_beside(translating));
  } else {
    translating.work(worker_.parser);
  }
  if (!translating.result) {
    request.translated.release();
    translation_ = translating.result.error();
    co_return ok();
  }
  const std::size_t size = request.translated.size();
  if (!worker_.held.take(size)) co_return kHoldsTooMuch;
  request.body_held_bytes += size;
  translated_ = std::make_unique<TranslatedCall>(
      TranslatedCall{detour, *std::move(translating.result), std::move(translating.settings)});
  co_return ok();
}

// What a place has is what the conf or its agent says, until it says otherwise itself.
void Exchange::avoid_lacked_endpoint() noexcept {
  const dialect::Detour* const detour = worker_.dialects.detour(match_.number);
  if (detour == nullptr || !translation_ || !lease_->takes(detour->number)) return;
  const std::uint64_t lacks = worker_.refused_members.find(lease_->name(), call_.model, worker_.clock.mono()).lacks;
  if ((lacks >> match_.number & 1) != 0) lease_.call_at(detour->number);
}

// The head of an answer is there. Whether it says that the place has not the call's endpoint, and there is another.
bool Exchange::can_fall_back() const noexcept {
  if (!lacks_endpoint(upstream_->head()->status)) return false;
  const dialect::Detour* const detour = worker_.dialects.detour(match_.number);
  const bool can =
      detour != nullptr && keeper_.empty() && lease_.endpoint() == match_.number && begun_ == Begun::kNothing;
  return can && lease_->takes(detour->number);
}

// Then the next ask() goes to the endpoint that a translation leads to. Error: the call is over.
Task<Result<Again>> Exchange::fall_back() {
  const dialect::Detour* const detour = worker_.dialects.detour(match_.number);
  if (translation_) SLUICE_CO_TRY(co_await translate());
  if (!translation_) co_return translation_.error();
  upstream_.reset();
  lease_.call_at(detour->number);
  choose_members(*lease_);
  added_.endpoint_refused = true;
  co_return Again::kYes;
}

dialect::AnswerFacts Exchange::answer_facts() const noexcept {
  return {.unique = call_.request_id.substr(kRequestIdMark.size()),
          .model = asked_.model,
          .prompt_estimate = call_.prompt_estimate,
          .settings = translated_->settings.view()};
}

std::unique_ptr<dialect::EventFilter> Exchange::make_filter() const {
  const Spoken its = spoken();
  std::unique_ptr<dialect::EventFilter> filter = its.dialect.filter(its.endpoint, filter_options());
  if (!is_translated()) return filter;
  return std::make_unique<TranslatedFilter>(std::move(filter), translated_->detour.translation->events(answer_facts()));
}

// A whole answer of the place, as the client gets it; a large one is made beside the worker. Both count as held while both
// are there. kNot: nothing can be made of it, and it stays. Error: the call is over.
Task<Result<dialect::Converted>> Exchange::translate_answer(Buffer& answer, dialect::WholeAnswer* walk) {
  if (!holding_.set(2 * answer.size())) {
    if (walk != nullptr) walk->take(answer.view());  // what it used is charged all the same
    co_return kHoldsTooMuch;
  }
  TranslatingAnswer job(wake_, translated_->detour, answer_facts(), walk, answer);
  if (answer.size() >= kLargeBodyBytes && worker_.large_bodies != nullptr) {
    SLUICE_CO_TRY(co_await work_beside(job));
  } else {
    job.work(worker_.parser);
  }
  if (job.converted == dialect::Converted::kDone) answer = std::move(job.out);
  co_return job.converted;
}

// Whether a prompt is to be counted that no place can count.
bool Exchange::is_counted_here() const noexcept {
  return endpoint().work == dialect::Work::kCount && !worker_.pool.has_endpoint(wanted(call_.model));
}

// By our own estimate, which is what the call would reserve.
Task<Status> Exchange::answer_count() {
  std::string body;
  dialect().append_count(body, call_.prompt_estimate);
  ReplyHeaders headers;
  headers.add("content-type", "application/json");
  headers.add("x-sluice-estimated", "input_tokens");
  add_answer_headers(headers);
  outcome_.status = 200;
  outcome_.reason = EndReason::kCompleted;
  outcome_.bytes_out += body.size();
  finish();
  (void)co_await client_.respond(outcome_.status, headers.span(), body);
  co_return ok();
}

}  // namespace sluice::proxy
