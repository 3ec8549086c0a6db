#include "proxy/ask_after.h"

#include <simdjson.h>

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

// A place's answer, whole. status 0: it could not be asked, or not read; no_such_row: nor ever can be.
struct Told {
  std::uint16_t status = 0;
  bool no_such_row = false;
  bool too_long = false;  // nor will it ever be shorter
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

// What of the call's is asked for: the row, and the id in its path.
struct Wish {
  dialect::Match row;
  std::string_view id;
};

Task<Told> ask_place(Worker& worker, const KeptCall& of, Wish wish, Errand& errand, net::Deadline until) {
  Told told;
  const dialect::Match row = wish.row;
  if (row.endpoint == nullptr) {
    told.no_such_row = true;
    co_return told;
  }
  const upstream::Wanted wanted{
      .model = of.model, .tenant_id = of.tenant_id, .endpoint = row.number, .place = of.place};
  // A question makes nothing, so that it needs no slot, and a place that is full answers it.
  const std::shared_ptr<upstream::Place> place = worker.pool.place_named(wanted);
  if (place == nullptr || !place->reachable()) co_return told;
  told.no_such_row = !place->takes(row.number);
  if (told.no_such_row) co_return told;
  ReplyHeaders headers;
  headers.add("accept", "application/json");
  headers.add("accept-encoding", "identity");
  for (const http::Header& header : place->headers()) headers.add(header.name, header.value);
  std::string path;
  const http::OutgoingRequest request{
      .method = row.endpoint->method,
      .path = stored_path(*place, {.endpoint = *row.endpoint, .id = wish.id}, of.model, path),
      .headers = headers.span(),
      .body = {}};
  const std::unique_ptr<http::OutgoingCall> call = place->start(request, errand.wake);
  const Status read = co_await read_whole(*call, errand, until, worker.conf->settings.answer_bytes);
  told.too_long = call->body().size() > worker.conf->settings.answer_bytes;
  if (!read || call->head() == nullptr) co_return told;
  told.status = call->head()->status;
  told.body = std::move(call->body());
  co_return told;
}

// What is counted by itself and no part of the tokens, as far as a call that writes text can have used it.
Usage bounded(Usage usage, const KeptCall& call) noexcept {
  usage.searches = std::min(usage.searches, call.most_output);
  usage.images = usage.seconds = usage.characters = 0;
  return usage;
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
  return bounded(told->usage.total() != 0 ? told->usage : dialect::with_meters_of(told->usage, usage), call);
}

// An answer that says nothing of it: whether it is gone, or another may come.
KeptState unknown(const Told& told) noexcept {
  KeptState state;
  state.status = told.status;
  const bool gone = told.no_such_row || told.too_long || told.status == 404 || told.status == 410;
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
  const Wish wish{row_for(worker.dialects, call, verb), call.id};
  const Told told = co_await ask_place(worker, call, wish, errand, until);
  co_return read_response(worker.dialects, call, told);
}

// --- batches

// By which a file is fetched.
dialect::Match row_of_content(const dialect::Table& table, std::string_view file_id) {
  for (const dialect::Endpoint& row : table.endpoints()) {
    if (row.answers_bytes) return table.find(std::string(row.path).append(file_id).append(row.behind_id), row.method);
  }
  return {};
}

void add_to(Usage& sum, const Usage& more) noexcept {
  for (const auto meter : {&Usage::prompt_tokens, &Usage::cached_tokens, &Usage::completion_tokens,
                           &Usage::reasoning_tokens, &Usage::cache_write_tokens, &Usage::cache_write_1h_tokens,
                           &Usage::audio_input_tokens, &Usage::audio_output_tokens, &Usage::searches})
    sum.*meter += std::min(more.*meter, std::uint64_t{1} << 40);
}

// Adds what the answers in a file that the batch has made used. Error: the file could not be had.
Task<Status> add_made(Worker& worker, const KeptCall& call, std::string_view file_id, Errand& errand,
                      net::Deadline until, Usage& sum) {
  constexpr std::size_t kTurnBytes = 256u << 10;
  const Wish wish{row_of_content(worker.dialects, file_id), file_id};
  Told told = co_await ask_place(worker, call, wish, errand, until);
  if (told.too_long) co_return kTooLong;
  if (told.status < 200 || told.status >= 300) co_return kSilent;
  (void)told.body.prepare(simdjson::SIMDJSON_PADDING);
  std::size_t in_turn = 0;
  for (std::string_view rest = told.body.view(); !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (const auto used = wish.row.dialect->told_in_batch(rest.substr(0, end), worker.parser)) {
      sum.source = UsageSource::kMeasured;
      add_to(sum, used->usage);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
    in_turn += end;
    if (in_turn >= kTurnBytes) co_await worker.loop.yield();
    if (in_turn >= kTurnBytes) in_turn = 0;
  }
  co_return ok();
}

// What it used: as the batch says itself, else as the answers do in the files that it has made. One that has made none
// has used nothing.
Task<Status> find_usage(Worker& worker, const KeptCall& call, const dialect::WholeAnswer& walk, Errand& errand,
                        net::Deadline until, Usage& usage) {
  const std::optional<dialect::UsageReading> told = walk.told();
  if (told && told->usage.total() != 0) {
    usage = told->usage;
  } else {
    for (const std::string& file_id : walk.kept_ids()->items())
      SLUICE_CO_TRY(co_await add_made(worker, call, file_id, errand, until, usage));
  }
  usage = bounded(usage, call);
  usage.prompt_tokens = std::min(usage.prompt_tokens, call.most_prompt);
  usage.completion_tokens = std::min(usage.completion_tokens, call.most_output);
  co_return ok();
}

// Files that it has made are those of its user.
void note_files(Worker& worker, const KeptCall& call, const dialect::KeptIds& ids) {
  if (worker.responses == nullptr) return;
  for (const std::string& id : ids.items()) {
    worker.responses->add_made({.id = id,
                                .tenant_id = call.tenant_id,
                                .user_id = call.user_id,
                                .key_id = call.key_id,
                                .place = call.place,
                                .model = call.model,
                                .created = worker.clock.wall(),
                                .expires = {},
                                .kept = Kept::kFile,
                                .file = {.purpose = "batch_output", .bytes = 0, .endpoint = {}}});
  }
}

Task<KeptState> ask_after_batch(Worker& worker, const KeptCall& call, Verb verb, Errand& errand, net::Deadline until) {
  const Wish wish{row_for(worker.dialects, call, verb), call.id};
  const Told told = co_await ask_place(worker, call, wish, errand, until);
  if (wish.row.endpoint == nullptr || told.status < 200 || told.status >= 300) co_return unknown(told);
  const dialect::Match row = worker.dialects.find(row_named(worker.dialects, call.endpoint)->path, "POST");
  const std::unique_ptr<dialect::WholeAnswer> walk = row.dialect->walk(*row.endpoint);
  walk->take(told.body.view());
  KeptState state{.what = What::kAway, .reason = {}, .status = told.status, .usage = {}, .model_served = {}};
  if (walk->form() != dialect::WholeAnswer::Form::kWhole || !walk->is_answer()) co_return state;
  note_files(worker, call, *walk->kept_ids());
  state.reason = end_reason_of(walk->ending());
  state.model_served = walk->model();
  state.what = walk->runs_on() ? What::kRunsOn : What::kOver;
  if (state.what == What::kRunsOn) co_return state;
  const Status found = co_await find_usage(worker, call, *walk, errand, until, state.usage);
  if (!found) state.what = found.error().what == std::string_view(kTooLong.what) ? What::kGone : What::kAway;
  co_return state;
}

// Each kind has its row here.
Task<KeptState> ask_once(Worker& worker, const KeptCall& call, Verb verb, Errand& errand, net::Deadline until) {
  switch (call.kind) {
    case KeptCall::Kind::kBatch:
      co_return co_await ask_after_batch(worker, call, verb, errand, until);
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
