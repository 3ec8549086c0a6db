// One request, phase by phase. Read run() and phases() first. The parts that are longer than a page have files of their
// own:
//
//   labels.cc          what callers say a call is for
//   compressed_body.cc a body that came compressed
//   router.cc          from a model's name to the head of an answer
//   acquire.cc         a slot on a place, and the wait for one
//   translated.cc      a call whose place has not its endpoint but another
//   judge.cc           what the end of an attempt says of its place
//   attempts.cc        what comes behind an attempt that failed: another place, another model
//   added_members.cc   what we add to a call, and take back where a server refuses it
//   stored_calls.cc    what model servers keep of earlier calls, and whose it is; kept_files.cc: files and batches
//   kept_on.cc         a call that its place goes on with by itself
//   relay.cc           an answer as it comes; relay_whole.cc, relay_converted.cc: one that is put together or taken apart
//   relay_plain.cc     one that need not be JSON: sound, or a text
//   read_on.cc         what is read of an answer whose client has left
//   believe.cc         what is believed of the usage that a server tells
//   models.cc          GET /v1/models
//   refuse.cc          errors, and how a call ended
//   access_line.cc     its line in the log
#include "proxy/exchange.h"

#include <simdjson.h>

#include <algorithm>

#include "base/ids.h"
#include "base/text.h"
#include "config/route_text.h"
#include "proxy/credential.h"
#include "wire/json_text.h"

namespace sluice::proxy {

Exchange::Exchange(Worker& worker, http::Incoming& client, const Arrival& arrival)
    : worker_(worker),
      client_(client),
      head_(client.head()),
      cors_(arrival.cors),
      peer_(arrival.peer),
      conf_(worker.conf),
      wake_(worker.loop),
      match_{.dialect = &worker.dialects.first()},
      holding_(&worker.held) {
  call_.request_id = make_request_id(request_id_);
  call_.number = worker_.next_number();
  call_.channel = "api";
  call_.client_ip = arrival.address;
  call_.began = worker_.clock.wall();
  call_.began_mono = worker_.clock.mono();
  running_.wake = &wake_;
  running_position_ = worker_.running.insert(worker_.running.end(), &running_);
}

Exchange::~Exchange() {
  finish();  // has run, but for a fault that was thrown: its holds are freed and its record is written all the same
  worker_.running.erase(running_position_);
  drop_request();
}

Task<void> Exchange::run() {
  read_client_id();
  if (head_.method == http::Verb::options) co_return co_await answer_options();
  if (is_probe(head_.path)) co_return co_await answer_probe();
  const Status done = co_await phases();
  client_.watch_client(nullptr);
  if (!done) co_await refuse(done.error());
  finish();
}

Task<Status> Exchange::phases() {
  SLUICE_CO_TRY(arrive());
  SLUICE_CO_TRY(match());
  SLUICE_CO_TRY(identify());
  if (is_answered_here(endpoint())) co_return co_await answer_models();
  if (endpoint().work == dialect::Work::kListStored) co_return co_await answer_list();
  if (is_of_stored()) {
    SLUICE_CO_TRY(co_await find_stored());
  } else {
    SLUICE_CO_TRY(co_await read_body());
    if (request_->coding) SLUICE_CO_TRY(co_await decode_body());
    if (is_large())
      SLUICE_CO_TRY(co_await understand_large());
    else
      SLUICE_CO_TRY(understand());
  }
  if (asked_.model.empty()) SLUICE_CO_TRY(co_await find_place());
  if (!asked_.model.empty() && !find_model()) SLUICE_CO_TRY(co_await await_model());
  if (names_stored()) SLUICE_CO_TRY(co_await find_keeper());
  SLUICE_CO_TRY(admit());
  if (is_counted_here()) co_return co_await answer_count();
  SLUICE_CO_TRY(co_await send());
  co_return co_await relay();
}

// May it come in? Before anything is read of it.
Status Exchange::arrive() {
  decision_ = conf_->chain->arrive(peer_);
  if (decision_.verdict == policy::Verdict::kGoOn) return ok();
  worker_.metrics.refused(decision_.error.kind);
  return decision_.error;
}

// Whether a client of another dialect has sent it, who means a path of that one.
static bool is_of_another(const dialect::Dialect& of, std::span<const dialect::Dialect* const> all,
                          const http::Fields& fields) noexcept {
  return std::ranges::any_of(all, [&](const dialect::Dialect* dialect) {
    const std::string_view mark = dialect->mark_of_clients();
    return dialect != &of && !mark.empty() && !fields[mark].empty();
  });
}

// Which endpoint is it?
Status Exchange::match() {
  const std::string_view method = boost::beast::http::to_string(head_.method);
  match_ = worker_.dialects.find(head_.path, method);
  if (match_.endpoint != nullptr && endpoint().kept != Kept::kResponse &&
      is_of_another(dialect(), worker_.dialects.dialects(), head_.fields))
    match_.endpoint = nullptr;  // several dialects have files
  if (match_.endpoint == nullptr || is_answered_here(endpoint())) find_speaker();
  if (match_.endpoint == nullptr) return client_error(ErrorKind::kNotFound, match_.advice);
  call_.endpoint = endpoint().name;
  return dialect::check_method(match_.methods, method);
}

// Where the path does not say whose words to answer in, the client may.
void Exchange::find_speaker() noexcept {
  for (const dialect::Dialect* const dialect : worker_.dialects.dialects()) {
    const std::string_view mark = dialect->mark_of_clients();
    if (mark.empty() || head_.fields[mark].empty()) continue;
    match_.dialect = dialect;
    if (match_.endpoint != nullptr) continue;
    if (const char* const advice = dialect->advice_to_clients(head_.path); advice != nullptr) match_.advice = advice;
  }
}

// Who is it? Before the body, so that a stranger cannot make us read one.
Status Exchange::identify() {
  const Result<const identity::Key*> key = find_key();
  if (!key) return key.error();
  key_ = running_.key = *key;
  const identity::User& user = *key_->user;
  call_.caller = {.tenant_id = user.tenant->id,
                  .user_id = user.id,
                  .key_id = key_->id,
                  .tenant_index = user.tenant->index,
                  .user_index = user.index,
                  .key_index = key_->index,
                  .tenant = user.tenant->name,
                  .user = user.name,
                  .allowed_models = key_->models()};
  read_trace();
  return read_labels();
}

Result<const identity::Key*> Exchange::find_key() {
  const auto failed = [this](const Error& error, policy::CredentialFailure failure) {
    conf_->chain->authentication_failed(peer_, failure);
    return error;
  };
  const Result<std::string_view> credential = find_credential(head_.fields);
  if (!credential) {
    const bool none = credential.error().kind == ErrorKind::kNoKey;
    return failed(credential.error(),
                  none ? policy::CredentialFailure::kMissing : policy::CredentialFailure::kMalformed);
  }
  const Result<const identity::Key*> key = worker_.directory.find(*credential, call_.began);
  if (key || key.error().kind != ErrorKind::kInvalidKey) return key;
  worker_.metrics.unauthorized();
  return failed(key.error(), policy::CredentialFailure::kWrong);
}

// What the client calls this request, for its logs and ours. A header may hold any byte, an id visible ones.
void Exchange::read_client_id() {
  constexpr std::size_t kIdBytes = 128;
  for (const char c : head_.fields["x-client-request-id"]) {
    if (client_request_id_.size() == kIdBytes) break;
    if (c > ' ' && c <= '~') client_request_id_ += c;
  }
  call_.client_request_id = client_request_id_;
}

// The trace that the call belongs to, for the next hop (W3C Trace Context). Its state may come in several fields; it
// may be dropped where it is longer than any hop need pass on (section 3.3.1.5).
void Exchange::read_trace() {
  constexpr std::size_t kStateBytes = 512;
  std::size_t parents = 0;
  for (const http::Fields::Line& field : head_.fields) {
    if (boost::beast::iequals(field.name, "traceparent")) {
      trace_ = observe::TraceContext::parse(field.value);
      ++parents;
    } else if (boost::beast::iequals(field.name, "tracestate")) {
      if (!trace_state_.empty()) trace_state_ += ',';
      trace_state_ += field.value;
    }
  }
  if (parents != 1) trace_.reset();
  if (!trace_ || trace_state_.size() > kStateBytes) trace_state_.clear();
}

// The body, bounded: by its own limit and by what the whole process may hold.
Task<Status> Exchange::read_body() {
  const Result<std::optional<wire::Coding>> coding = find_coding();
  if (!coding) co_return coding.error();
  request_ = std::make_unique<UpstreamRequest>();
  request_->coding = *coding;
  BodyReserve reserve(worker_.held, request_->body_held_bytes);
  const net::Deadline never = net::Deadline::never();  // a body may be large and its client slow; each read has its gap
  const Status read = co_await client_.read_body(request_->body, conf_->settings.body_bytes, reserve, never);
  if (read) (void)request_->body.prepare(simdjson::SIMDJSON_PADDING);
  co_return read;
}

bool Exchange::is_large() const noexcept {
  return request_->body.size() >= kLargeBodyBytes && worker_.large_bodies != nullptr;
}

// What does it ask for?
Status Exchange::understand() {
  return take_in(dialect().read(endpoint(), content_type(), request_->body.view(), worker_.parser));
}

// The same, where it would keep the worker from everybody else's calls.
Task<Status> Exchange::understand_large() {
  ReadJob job(wake_, dialect(), endpoint(), content_type(), request_->body.view());
  SLUICE_CO_TRY(co_await work_beside(job));
  co_return take_in(std::move(job.result()));
}

// Until it is done. Error: the call is over before that, and nobody works on the body any more.
Task<Status> Exchange::work_beside(LargeBodies::Job& job) {
  client_.watch_client(&wake_);
  worker_.large_bodies->add(job);
  while (!job.over()) {
    // Without a deadline: those before it are worked on, or withdrawn as this one is, and then it is.
    const Result<net::Wake> woken = co_await next(net::Deadline::never());
    if (!woken && worker_.large_bodies->withdraw(job)) co_return woken.error();
  }
  co_return interrupted();
}

Status Exchange::take_in(Result<dialect::CallBody> asked) {
  if (!asked) return asked.error();
  asked_ = std::move(*asked);
  SLUICE_TRY(take_model_of_path());
  if (asked_.labels.any()) SLUICE_TRY(read_body_labels());
  if (!asked_.stored_prompt.empty() && !may_name_prompt()) {
    return client_error(
        ErrorKind::kBadRequest,
        "'prompt.id' names a prompt that the model server stores and that your tenant may not use; send "
        "its text in 'instructions' and 'input', or ask your administrator to list it in [policies] "
        "stored_prompts.");
  }
  if (asked_.upload) SLUICE_TRY(check_upload());
  call_.stream = asked_.stream;
  call_.background = asked_.background;
  call_.prompt_estimate = asked_.prompt_estimate;
  call_.choices = asked_.choices;
  return ok();
}

// A model that the path names is the one that is called, whatever the body says of it.
Status Exchange::take_model_of_path() {
  if (match_.model.empty())
    return asked_.model.empty() && !is_about_kept(endpoint())
               ? Status(client_error(ErrorKind::kBadRequest, "The request has no 'model'; name the model to call."))
               : ok();
  std::array<char, 512> decoded;
  const std::optional<std::string_view> name = percent_decode(match_.model, decoded);
  if (!name) return client_error(ErrorKind::kModelNotFound, "");
  asked_.model.assign(*name);
  return ok();
}

// A stored prompt is whose tenant the conf says, for the model server knows one key.
bool Exchange::may_name_prompt() const noexcept {
  const std::string_view id = asked_.stored_prompt;
  return std::ranges::any_of(conf_->settings.stored_prompts, [&](std::string_view listed) {
    const std::size_t colon = listed.rfind(':');
    const std::string_view tenant = listed.substr(0, colon);
    return listed.substr(colon + 1) == id && (tenant == "*" || tenant == call_.caller.tenant);
  });
}

// Which model is it? False: nobody knows it.
bool Exchange::find_model() {
  const auto* found = known_model(asked_.model);
  for (const auto& [pattern, target] : conf_->settings.open_aliases) {
    if (found != nullptr) break;
    if (config::fits(pattern, asked_.model)) found = known_model(target);
  }
  if (found != nullptr) use_model(*found);
  return found != nullptr;
}

// Null: no such model for this tenant.
const NameMap<ModelSettings>::value_type* Exchange::known_model(std::string_view name) const noexcept {
  const auto found = conf_->models->find(name);
  return found == conf_->models->end() || !worker_.pool.knows(wanted(name)) ? nullptr : &*found;
}

void Exchange::use_model(const NameMap<ModelSettings>::value_type& model) {
  call_.model = model.first;
  model_ = &model.second;
  call_.model_index = model_->index;
  const bool generates = endpoint().work == dialect::Work::kGenerate;
  const bool makes = endpoint().work == dialect::Work::kMake;
  const std::uint64_t most = makes ? asked_.output_estimate : asked_.output_cap.value_or(model_->max_output);
  call_.output_cap = generates || makes ? std::min(most, std::uint64_t{1} << 40) * call_.choices : 0;
  call_.output_cap_given = makes || asked_.output_cap.has_value();
  if (is_about_kept(endpoint())) expect_batch();
}

// May it go on? Limits and budgets are held from here to finish().
Status Exchange::admit() {
  if (asked_.background) SLUICE_TRY(may_run_on());
  decision_ = conf_->chain->admit(call_, admitted_);
  if (asked_.upload) asked_.upload->cap = call_.clamp_output_to;
  const bool takes_cap = endpoint().work != dialect::Work::kMake && !is_about_kept(endpoint());
  if (!takes_cap) call_.clamp_output_to = 0;  // there is no member that it could go into
  if (decision_.verdict == policy::Verdict::kGoOn) return ok();
  worker_.metrics.refused(decision_.error.kind);
  return decision_.error;
}

// Once, whatever happened: holds are settled and freed, then the record is written.
void Exchange::finish() noexcept {
  if (std::exchange(finished_, true)) return;
  if (begun_ == Begun::kStream) worker_.metrics.streams(-1);
  if (kept_on_) leave_to_kept();
  count_meters();
  judge_end();
  note_upstream_cost();
  upstream_.reset();
  settle_turn(outcome_.usage.prompt_tokens + outcome_.usage.completion_tokens);
  lease_.release();
  outcome_.duration = std::chrono::duration_cast<std::chrono::microseconds>(worker_.clock.mono() - call_.began_mono);
  outcome_.bytes_in = client_.bytes_in();
  outcome_.bytes_out += client_.bytes_out() + client_.pending_bytes();
  outcome_.model_served = model_served_;
  outcome_.upstream = place_name_;
  outcome_.refused_by = decision_.refusal.by();
  conf_->chain->finish(call_, outcome_, admitted_);
  const bool of_kept = key_ != nullptr && is_about_kept(endpoint());
  if (!call_.model.empty() || of_kept) conf_->chain->record(call_, outcome_);
  const auto* tokens = model_ != nullptr && model_->meters ? &*model_->meters : nullptr;
  if (match_.endpoint != nullptr) worker_.metrics.call_ended(match_.number, outcome_, tokens);
  if (worker_.log.access_enabled()) write_access_line();
}

}  // namespace sluice::proxy
