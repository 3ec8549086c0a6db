#include "agent/backend.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "agent/server_endpoints.h"
#include "agent/server_slots.h"
#include "http/read_answer.h"

namespace sluice::agent {
namespace {

constexpr std::chrono::milliseconds kAskTime{5'000};
constexpr std::chrono::milliseconds kSlotTime{2'000};
constexpr std::chrono::milliseconds kEndpointTime{2'000};  // of all questions for endpoints together
constexpr std::size_t kEndpointAnswerBytes = 64u << 10;
constexpr std::chrono::seconds kAwayInterval{1};
// Before the pool gives up the connection of the last look, so that one is always open: a server that keeps it open is
// the one that was looked at, and no call waits for another look.
constexpr std::chrono::milliseconds kTouchInterval{3'000};
constexpr std::size_t kMostLate = 5;         // looks in a row, half a minute, until a server that says nothing is away
constexpr std::uint32_t kDefaultSlots = 64;  // where neither the server nor the command line says

http::h1::ClientPoolOptions pool_options(const BackendAccess& access, const RunOptions& options) {
  http::h1::ClientPoolOptions client;
  client.url = access.url;
  client.context = access.tls;
  client.gap = std::chrono::milliseconds(options.head_time_ms);
  return client;
}

bool is_late(const Error& error) noexcept {
  return error.kind == ErrorKind::kTimeout || (error.kind == ErrorKind::kConnect && error.os_code == ETIMEDOUT);
}

}  // namespace

Backend::NextLook::NextLook(Backend& backend, net::Signal& wake)
    : backend_(backend),
      number_(backend.begun_ + 1),
      under_way_(backend.begun_ != backend.looked_ ? backend.begun_ : number_),
      position_(backend.waiting_.insert(backend.waiting_.end(), &wake)) {
  backend_.look_now();
}

Backend::Backend(net::Loop& loop, net::TaskGroup& tasks, BackendAccess access, const RunOptions& options,
                 std::vector<dialect::Endpoint> asked, Reporter& reporter)
    : access_(std::move(access)),
      options_(options),
      reporter_(reporter),
      pool_(loop, tasks, pool_options(access_, options)),
      wake_(loop),
      slots_(options.slots != 0 ? options.slots : kDefaultSlots),
      asked_endpoints_(std::move(asked)),
      asked_(loop) {
  for (const dialect::Endpoint& endpoint : asked_endpoints_) lacks_.emplace_back(endpoint.name);
  const auto* const cap = std::ranges::find(kCapMemberNames, options.cap_member);
  const bool known = cap != std::end(kCapMemberNames);
  reporter_.set_hello(options.usage_in_stream,
                      known ? static_cast<CapMember>(cap - kCapMemberNames) : CapMember::kAuto);
}

Task<void> Backend::watch() {
  while (!stopped_) {
    finding_ = !pool_.in_touch();
    ++begun_;
    const Look found = co_await look();
    if (stopped_) break;
    take(found);
    if (found.found == Found::kList && slots_are_due()) co_await ask_slots();
    if (found.found == Found::kList && endpoints_due_) co_await ask_endpoints();
    if (stopped_) break;
    report(found);
    (void)co_await wake_.wait(net::Deadline::after(pause_behind(found.found)));
  }
}

std::chrono::milliseconds Backend::pause_behind(Found found) const noexcept {
  const std::chrono::milliseconds interval(options_.poll_interval_ms);
  return std::min<std::chrono::milliseconds>(interval, found == Found::kList ? kTouchInterval : kAwayInterval);
}

void Backend::stop() noexcept {
  stopped_ = true;
  ask_until_ = {MonoTime::min()};
  asked_.notify();
  wake_.notify();
  for (net::Signal* waiting : waiting_) waiting->notify();
}

std::unique_ptr<http::OutgoingCall> Backend::start(const http::OutgoingRequest& request, net::Signal& wake) noexcept {
  return pool_.start(request, wake, net::Deadline::after(std::chrono::milliseconds(options_.head_time_ms)));
}

// --- one look --------------------------------------------------------------------------------------------------------

Task<Result<Backend::Answer>> Backend::ask(std::string_view path, std::chrono::milliseconds time,
                                           std::size_t limit_bytes) {
  co_return co_await ask({.method = "GET", .path = path, .headers = {}, .body = {}}, net::Deadline::after(time),
                         limit_bytes);
}

// With the server's key. Lifetime: what the request refers to outlives the question.
Task<Result<Backend::Answer>> Backend::ask(http::OutgoingRequest request, net::Deadline until,
                                           std::size_t limit_bytes) {
  ask_until_ = until;
  const std::array<http::Header, 2> headers{
      {{"content-type", "application/json"}, {"authorization", access_.authorization}}};
  const std::span<const http::Header> all(headers);
  request.headers = all.subspan(request.body.empty() ? 1 : 0,
                                (request.body.empty() ? 0 : 1) + (access_.authorization.empty() ? 0 : 1));
  const std::unique_ptr<http::OutgoingCall> call = pool_.start(request, asked_, ask_until_);
  SLUICE_CO_TRY(co_await http::read_answer(*call, asked_, ask_until_, limit_bytes));
  co_return Answer{call->head()->status, std::string(call->body().view())};
}

Task<Backend::Look> Backend::look() {
  Look look;
  const Result<Answer> answer = co_await ask("/v1/models", kAskTime, upstream::kModelListBytes);
  if (!answer) {
    if (is_late(answer.error())) look.found = Found::kLate;
    look.trouble = trouble_of(answer.error());
    co_return look;
  }
  if (answer->status != 200) {
    look.trouble = trouble_of(answer->status);
    co_return look;
  }
  Result<upstream::ModelList> list = upstream::read_model_list(answer->body);
  if (!list) {
    look.trouble = "what it answers to GET /v1/models is no list of models: is it an OpenAI-compatible server?";
    co_return look;
  }
  if (list->names.empty()) look.trouble = "it lists no model";
  look.list = std::move(*list);
  look.found = Found::kList;
  co_return look;
}

bool Backend::slots_are_due() const noexcept {
  const std::chrono::milliseconds interval(options_.poll_interval_ms);
  return options_.slots == 0 && (!slots_asked_at_ || Mono::now() - *slots_asked_at_ >= interval);
}

// Of a server that has changed its list, every question; of one that answered one of them before, that one, since it
// may have been started anew; of others none.
Task<void> Backend::ask_slots() {
  slots_asked_at_ = Mono::now();
  const bool all = !std::exchange(slots_known_, true);
  for (std::size_t i = 0; i < kSlotQuestions.size(); ++i) {
    if (!all && slot_question_ != i) continue;
    const Result<Answer> answer = co_await ask(kSlotQuestions[i].path, kSlotTime, kSlotAnswerBytes);
    if (stopped_) break;
    if (!answer || answer->status != 200) continue;
    if (const std::optional<std::uint32_t> slots = kSlotQuestions[i].read(answer->body)) {
      slot_question_ = i;
      slots_ = *slots;
      co_return;
    }
  }
  if (all) slot_question_.reset();
  slots_ = kDefaultSlots;
}

// One that gives no answer keeps what it was found to have: it is busy.
Task<void> Backend::ask_endpoints() {
  endpoints_asked_at_ = Mono::now();
  endpoints_due_ = unanswered_ = false;
  const net::Deadline until = net::Deadline::after(kEndpointTime);
  std::vector<std::string> lacks;
  for (const dialect::Endpoint& endpoint : asked_endpoints_) {
    const http::OutgoingRequest request{
        .method = endpoint.method, .path = endpoint.path, .headers = {}, .body = {&kEmptyCall, 1}};
    const Result<Answer> answer = co_await ask(request, until, kEndpointAnswerBytes);
    if (stopped_) co_return;
    unanswered_ = unanswered_ || !answer;
    const bool lacked =
        answer ? !is_had(answer->status, answer->body) : std::ranges::find(lacks_, endpoint.name) != lacks_.end();
    if (lacked) lacks.emplace_back(endpoint.name);
  }
  lacks_ = std::move(lacks);
}

std::string Backend::trouble_of(unsigned status) const {
  if (status == 401 || status == 403)
    return absl::StrCat(access_.authorization.empty()
                            ? "it asks for a key: give it with --backend-key file:PATH or env:NAME"
                            : "it refuses the key of --backend-key",
                        " (status ", status, ")");
  if (status == 404) return "it has no /v1/models (status 404): is it an OpenAI-compatible server?";
  return absl::StrCat("it answers GET /v1/models with status ", status);
}

std::string Backend::trouble_of(const Error& error) const {
  const std::string_view what = error.what;
  const bool of_system = error.os_code != 0 && error.kind == ErrorKind::kConnect;
  std::string text = of_system ? absl::StrCat("cannot connect: ", std::strerror(error.os_code)) : std::string(what);
  if (what.find("certificate") != std::string_view::npos) text += "; see --backend-ca";
  if (what == "TLS handshake failed") text += "; does it want http://?";
  if (what == http::h1::kNotHttp.what && !access_.url.tls) text += "; does it want https://?";
  return text;
}

// --- what came of it -------------------------------------------------------------------------------------------------

// Which calls are forwarded from now on; those that wait go on.
void Backend::take(const Look& look) {
  late_in_a_row_ = look.found == Found::kLate ? late_in_a_row_ + 1 : 0;
  if (look.found == Found::kLate) late_ = begun_;
  // Another server may be there: it was away, or has other models, or was out of touch for a while.
  const std::chrono::milliseconds interval(options_.poll_interval_ms);
  const bool long_ago = Mono::now() - endpoints_asked_at_ >= interval;
  const bool other = look.found == Found::kList && look.list.names != names_;
  if (look.found == Found::kNothing || other || ((finding_ || unanswered_) && long_ago)) endpoints_due_ = true;
  if (look.found == Found::kList) {
    if (look.list.names != names_ || finding_) slots_asked_at_.reset();
    if (look.list.names != names_) slots_known_ = false;
    names_ = look.list.names;
    served_ = {names_.begin(), names_.end()};
  } else if (look.found == Found::kNothing || late_in_a_row_ >= kMostLate) {
    served_.clear();
  }
  finding_ = false;
  looked_ = begun_;
  for (net::Signal* waiting : waiting_) waiting->notify();
}

void Backend::report(const Look& look) {
  say(look);
  if (look.found == Found::kLate && !served_.empty()) return reporter_.set_trouble(look.trouble);
  if (look.found != Found::kList) return reporter_.set_unavailable(look.trouble);
  note_left_out(look.list.left_out);
  reporter_.set_lacks(lacks_);
  reporter_.set_models(look.list, slots_, look.trouble);
  if (names_.empty() || std::exchange(found_, true)) return;
  if (watcher_ != nullptr) watcher_->notify();
}

// Each change once: what is served goes to standard output, a trouble to standard error.
void Backend::say(const Look& look) {
  std::string now =
      look.trouble.empty()
          ? absl::StrCat("serving ", tunnel::list_names(look.list.names), " from ", access_.name(), " (", slots_,
                         slots_ == 1 ? " call" : " calls", " at once)")
          : absl::StrCat("model server ", access_.name(), ": ", look.trouble, "; it is asked again until it serves");
  if (now == said_) return;
  said_ = std::move(now);
  std::fprintf(look.trouble.empty() ? stdout : stderr, "%s%s\n",
               look.trouble.empty() ? "" : "sluice agent: ", said_.c_str());
  std::fflush(stdout);
}

void Backend::note_left_out(std::size_t entries) {
  if (std::exchange(left_out_, entries) == entries || entries == 0) return;
  std::fprintf(stderr,
               "sluice agent: %zu entries of the model server's /v1/models have no usable id and are left out\n",
               entries);
}

}  // namespace sluice::agent
