#include "agent/backend.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "agent/server_slots.h"
#include "http/read_answer.h"

namespace sluice::agent {
namespace {

constexpr std::chrono::milliseconds kAskTime{5'000};
constexpr std::chrono::milliseconds kSlotTime{2'000};
constexpr std::chrono::seconds kAwayInterval{1};
constexpr std::uint32_t kDefaultSlots = 64;  // where neither the server nor the command line says

http::h1::ClientPoolOptions pool_options(const BackendAccess& access, const RunOptions& options) {
  http::h1::ClientPoolOptions client;
  client.url = access.url;
  client.context = access.tls;
  client.gap = std::chrono::milliseconds(options.head_time_ms);
  return client;
}

}  // namespace

Backend::NextLook::NextLook(Backend& backend, net::Signal& wake)
    : backend_(backend),
      number_(backend.begun_ + 1),
      position_(backend.waiting_.insert(backend.waiting_.end(), &wake)) {
  backend_.look_now();
}

Backend::Backend(net::Loop& loop, net::TaskGroup& tasks, BackendAccess access, const RunOptions& options,
                 Reporter& reporter)
    : access_(std::move(access)),
      options_(options),
      reporter_(reporter),
      pool_(loop, tasks, pool_options(access_, options)),
      wake_(loop),
      asked_(loop) {
  const auto* const cap = std::ranges::find(kCapMemberNames, options.cap_member);
  const bool known = cap != std::end(kCapMemberNames);
  reporter_.set_hello(options.usage_in_stream,
                      known ? static_cast<CapMember>(cap - kCapMemberNames) : CapMember::kAuto);
}

Task<void> Backend::watch() {
  while (!stopped_) {
    ++begun_;
    Look found = co_await look();
    if (stopped_) break;
    const bool there = found.list.has_value();
    take(std::move(found));
    looked_ = begun_;
    for (net::Signal* waiting : waiting_) waiting->notify();
    const std::chrono::milliseconds interval(options_.poll_interval_ms);
    const std::chrono::milliseconds pause =
        there ? interval : std::min<std::chrono::milliseconds>(interval, kAwayInterval);
    (void)co_await wake_.wait(net::Deadline::after(pause));
  }
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
  ask_until_ = net::Deadline::after(time);
  const http::Header key{"authorization", access_.authorization};
  const http::OutgoingRequest request{"GET", path, {&key, access_.authorization.empty() ? 0u : 1u}, {}};
  const std::unique_ptr<http::OutgoingCall> call = pool_.start(request, asked_, ask_until_);
  SLUICE_CO_TRY(co_await http::read_answer(*call, asked_, ask_until_, limit_bytes));
  co_return Answer{call->head()->status, std::string(call->body().view())};
}

Task<Backend::Look> Backend::look() {
  Look look;
  const Result<Answer> answer = co_await ask("/v1/models", kAskTime, upstream::kModelListBytes);
  if (!answer) {
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
  if (list->names != names_) slots_known_ = false;
  look.slots = options_.slots;
  if (look.slots == 0) look.slots = co_await ask_slots();
  look.list = std::move(*list);
  co_return look;
}

// Of a server that has changed its list, every question; of one that answered one of them before, that one, since it
// may have been started anew; of others none.
Task<std::uint32_t> Backend::ask_slots() {
  const bool all = !std::exchange(slots_known_, true);
  for (std::size_t i = 0; i < kSlotQuestions.size(); ++i) {
    if (!all && slot_question_ != i) continue;
    const Result<Answer> answer = co_await ask(kSlotQuestions[i].path, kSlotTime, kSlotAnswerBytes);
    if (stopped_) break;
    if (!answer || answer->status != 200) continue;
    if (const std::optional<std::uint32_t> slots = kSlotQuestions[i].read(answer->body)) {
      slot_question_ = i;
      co_return *slots;
    }
  }
  if (all) slot_question_.reset();
  co_return kDefaultSlots;
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
  if (error.kind == ErrorKind::kProtocol && !access_.url.tls) text += "; does it want https://?";
  return text;
}

// --- what came of it -------------------------------------------------------------------------------------------------

void Backend::take(Look look) {
  say(look);
  if (!look.list) {
    served_.clear();
    return reporter_.set_unavailable(look.trouble);
  }
  note_left_out(look.list->left_out);
  names_ = look.list->names;
  served_ = {names_.begin(), names_.end()};
  reporter_.set_models(*look.list, look.slots, look.trouble);
  if (names_.empty() || std::exchange(found_, true)) return;
  if (watcher_ != nullptr) watcher_->notify();
}

// Each change once: what is served goes to standard output, a trouble to standard error.
void Backend::say(const Look& look) {
  std::string now =
      look.trouble.empty()
          ? absl::StrCat("serving ", tunnel::list_names(look.list->names), " from ", access_.name(), " (", look.slots,
                         look.slots == 1 ? " call" : " calls", " at once)")
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
