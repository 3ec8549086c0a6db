#include "proxy/ask_after.h"

#include <algorithm>

#include "proxy/errand.h"
#include "proxy/relay_errors.h"
#include "proxy/stored_path.h"

namespace sluice::proxy {
namespace {

using store::KeptCall;
using What = KeptState::What;

// What is asked of the place: the row of the call that began it says where.
enum class Verb : std::uint8_t { kGet, kCancel };

// A place's answer, whole. status 0: it could not be asked; no_such_row: nor ever can be.
struct Told {
  std::uint16_t status = 0;
  bool no_such_row = false;
  Buffer body;
};

const dialect::Endpoint* row_named(const dialect::Table& table, std::string_view name) noexcept {
  const auto rows = table.endpoints();
  const auto row = std::ranges::find(rows, name, &dialect::Endpoint::name);
  return row == rows.end() ? nullptr : &*row;
}

dialect::Match row_for(const dialect::Table& table, const KeptCall& call, Verb verb) {
  const dialect::Endpoint* const began = row_named(table, call.endpoint);
  if (began == nullptr) return {};
  const std::string path = std::string(began->path).append("/").append(call.id);
  return verb == Verb::kGet ? table.find(path, "GET") : table.find(path + "/cancel", "POST");
}

Task<upstream::Supply> take_slot(Worker& worker, upstream::Wanted wanted, Errand& errand, net::Deadline until,
                                 upstream::Lease& lease) {
  upstream::Supply supply = worker.pool.take(wanted, {}, lease);
  if (supply != upstream::Supply::kFull) co_return supply;
  const upstream::Pool::Waiter waiter(worker.pool, wanted, errand.wake);
  while (supply == upstream::Supply::kFull && !until.passed() && !errand.call.drained) {
    (void)co_await errand.wake.wait(until);
    supply = worker.pool.take(wanted, {}, lease);
  }
  co_return supply;
}

// Until the whole answer stands in its body.
Task<Status> read_whole(http::OutgoingCall& call, Errand& errand, net::Deadline until, std::size_t limit_bytes) {
  std::size_t credited = 0;
  for (;;) {
    const std::size_t arrived = call.body().size();
    call.taken(arrived - std::exchange(credited, arrived));
    if (call.state() == http::CallState::kEnded) co_return ok();
    if (call.state() == http::CallState::kFailed) co_return call.error();
    if (arrived > limit_bytes) co_return kTooLong;
    if (errand.call.drained || until.passed()) co_return kSilent;
    (void)co_await errand.wake.wait(until);
  }
}

Task<Told> ask_place(Worker& worker, const KeptCall& of, Verb verb, Errand& errand, net::Deadline until) {
  Told told;
  const dialect::Match row = row_for(worker.dialects, of, verb);
  if (row.endpoint == nullptr) {
    told.no_such_row = true;
    co_return told;
  }
  const upstream::Wanted wanted{
      .model = of.model, .tenant_id = of.tenant_id, .endpoint = row.number, .place = of.place};
  upstream::Lease lease;
  const upstream::Supply supply = co_await take_slot(worker, wanted, errand, until, lease);
  told.no_such_row = supply == upstream::Supply::kNotTaken;
  if (supply != upstream::Supply::kTaken) co_return told;
  ReplyHeaders headers;
  headers.add("accept", "application/json");
  headers.add("accept-encoding", "identity");
  for (const http::Header& header : lease->headers()) headers.add(header.name, header.value);
  std::string path;
  const http::OutgoingRequest request{
      .method = row.endpoint->method,
      .path = stored_path(*lease, {.endpoint = *row.endpoint, .id = of.id}, of.model, path),
      .headers = headers.span(),
      .body = {}};
  const std::unique_ptr<http::OutgoingCall> call = lease->start(request, errand.wake);
  const Status read = co_await read_whole(*call, errand, until, worker.conf->settings.answer_bytes);
  if (!read || call->head() == nullptr) co_return told;
  told.status = call->head()->status;
  told.body = std::move(call->body());
  co_return told;
}

// What it used: as the place says, within what it may claim; else our own count of it.
Usage usage_of(const dialect::WholeAnswer& walk, const KeptCall& call) {
  constexpr std::uint64_t kBytesPerToken = 4;
  Usage usage{.source = UsageSource::kEstimated, .prompt_tokens = call.prompt_estimate};
  usage.completion_tokens = std::min((walk.text_bytes() + kBytesPerToken - 1) / kBytesPerToken, call.most_output);
  const std::optional<dialect::UsageReading> told = walk.told();
  if (!told || told->doubt == dialect::UsageDoubt::kClaim) return usage;
  const dialect::ClaimLimit limit{.prompt = call.most_prompt, .completion = call.most_output};
  if (!limit.allows(told->usage)) return usage;
  return told->usage.total() != 0 ? told->usage : dialect::with_meters_of(told->usage, usage);
}

// An answer that says nothing of it: whether it is gone, or another may come.
KeptState unknown(const Told& told) noexcept {
  KeptState state;
  state.status = told.status;
  const bool gone = told.no_such_row || told.status == 404 || told.status == 410;
  state.what = gone ? What::kGone : What::kAway;
  return state;
}

// A response as it stands.
KeptState read_response(const dialect::Table& table, const KeptCall& call, const Told& told) {
  const dialect::Endpoint* const began = row_named(table, call.endpoint);
  if (told.status < 200 || told.status >= 300 || began == nullptr) return unknown(told);
  const dialect::Match row = table.find(began->path, began->method);
  const std::unique_ptr<dialect::WholeAnswer> walk = row.dialect->walk(*row.endpoint);
  walk->take(told.body.view());
  KeptState state{.what = What::kAway, .reason = {}, .status = told.status, .usage = {}, .model_served = {}};
  if (walk->form() != dialect::WholeAnswer::Form::kWhole || !walk->is_answer()) return state;
  state.what = walk->runs_on() ? What::kRunsOn : What::kOver;
  state.reason = end_reason_of(walk->ending());
  state.usage = usage_of(*walk, call);
  state.model_served = walk->model();
  return state;
}

Task<KeptState> ask_after_response(Worker& worker, const KeptCall& call, Verb verb, Errand& errand,
                                   net::Deadline until) {
  const Told told = co_await ask_place(worker, call, verb, errand, until);
  co_return read_response(worker.dialects, call, told);
}

// Each kind has its row here.
Task<KeptState> ask_once(Worker& worker, const KeptCall& call, Verb verb, Errand& errand, net::Deadline until) {
  switch (call.kind) {
    case KeptCall::Kind::kResponse:
      break;
  }
  co_return co_await ask_after_response(worker, call, verb, errand, until);
}

void count_used(Worker& worker, const KeptCall& call, const Usage& usage) noexcept {
  const auto model = worker.conf->models->find(call.model);
  if (model == worker.conf->models->end() || !model->second.meters) return;
  worker.metrics.used(usage, &*model->second.meters);
}

// Told once, also where a fault ends the question.
struct Answer {
  Worker& worker;
  const KeptCalls::Question& question;
  KeptState state{};
  Answer(Worker& of, const KeptCalls::Question& asked) : worker(of), question(asked) {}
  Answer(const Answer&) = delete;
  ~Answer() {
    const std::optional<Usage> charged = worker.kept_calls->told(question, state);
    if (charged) count_used(worker, question.call, *charged);
  }
};

}  // namespace

Task<void> ask_after(Worker& worker, KeptCalls::Question question) {
  Answer answer(worker, question);
  Errand errand(worker);
  const net::Deadline until = net::Deadline::after(question.answer_time);
  if (question.how != KeptCalls::Question::How::kLook) {
    // What a place says to that may be an error of its own, where the call is over or it has no such operation.
    answer.state = co_await ask_once(worker, question.call, Verb::kCancel, errand, until);
    if (answer.state.what == What::kOver) co_return;
  }
  answer.state = co_await ask_once(worker, question.call, Verb::kGet, errand, until);
}

}  // namespace sluice::proxy
