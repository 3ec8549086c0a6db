#include "upstream/direct.h"

#include <system_error>
#include <unordered_set>
#include <utility>

#include "http/read_answer.h"

namespace sluice::upstream {
namespace {

constexpr std::chrono::milliseconds kAskTime{5'000};
constexpr std::chrono::milliseconds kRetryPause{1'000};

}  // namespace

DirectPlace::DirectPlace(net::Loop& loop, net::TaskGroup& tasks, DirectSettings settings, std::shared_ptr<Slots> slots)
    : settings_(std::move(settings)),
      slots_(std::move(slots)),
      headers_{http::Header{settings_.credential_header, settings_.credential},
               http::Header{settings_.kind.version_header, settings_.api_version}},
      models_path_(std::string(settings_.kind.models_path) + version_query()),
      pool_(loop, tasks, settings_.connection),
      wake_(loop),
      away_(settings_.unusable) {}

// Azure OpenAI has a call's model, which is one of its deployments, in the path, but for the Responses API, files and
// batches.
// https://learn.microsoft.com/azure/ai-services/openai/reference
std::string_view DirectPlace::path(const dialect::Endpoint& endpoint, std::string_view model, std::string& made) const {
  if (settings_.kind.paths == config::PathRule::kDialect) return endpoint.path;
  constexpr std::string_view kVersion = "/v1";
  made.assign("/openai");
  const bool model_in_body = endpoint.path.starts_with("/v1/responses") || is_about_kept(endpoint);
  if (!model_in_body) append_percent_encoded(made.append("/deployments/"), model);
  made.append(endpoint.path.substr(kVersion.size())).append(version_query());
  return made;
}

PlaceCost DirectPlace::cost(std::string_view model) const noexcept {
  if (settings_.costs.empty()) return {.price = nullptr, .percent = settings_.cost_percent};
  const auto found = settings_.costs.find(model);
  if (found == settings_.costs.end()) return {};
  return {.price = &found->second, .percent = settings_.cost_percent.value_or(100)};
}

std::string DirectPlace::version_query() const {
  if (settings_.kind.paths == config::PathRule::kDialect) return {};
  std::string query("?api-version=");
  append_percent_encoded(query, settings_.api_version);
  return query;
}

std::unique_ptr<http::OutgoingCall> DirectPlace::start(const http::OutgoingRequest& request,
                                                       net::Signal& wake) noexcept {
  return pool_.start(request, wake, net::Deadline::after(settings_.times.head));
}

void DirectPlace::stop() noexcept {
  stopped_ = true;
  ask_until_ = {MonoTime::min()};
  wake_.notify();
}

Task<void> DirectPlace::watch(Changed changed) {
  const ModelList configured{.names = settings_.models, .facts = {}, .left_out = 0};
  if (settings_.unusable) {
    changed(configured);
    while (!stopped_) (void)co_await wake_.wait();
  }
  while (!stopped_) {
    const Status health = co_await ask_health();
    Result<ModelList> asked = self_error(ErrorKind::kInternal, "");
    if (health)
      asked = co_await ask_models();
    else
      asked = health.error();
    if (stopped_) co_return;
    // A server without the list is reachable all the same; only a failed connection says that it is not.
    const bool lists_none =
        !asked && (asked.error().kind == ErrorKind::kProtocol || asked.error().kind == ErrorKind::kUpstream);
    const bool there = health && (asked || lists_none);
    away_ = there ? std::nullopt : std::optional(asked.error());
    unlisted_.reset();
    if (there && !asked && settings_.models.empty()) unlisted_ = asked.error();
    // What an upstream served it will serve again: a model does not become unknown because its server is away.
    if (asked || (there && !settings_.health_path.empty())) healthy_at_ = Mono::now();
    if (asked) {
      listed_ = std::move(*asked);
      note_facts();
      lacking_ = find_lacking();
    }
    changed(configured.names.empty() ? listed_ : configured);
    const net::Deadline pause = net::Deadline::after(there ? settings_.health_interval : kRetryPause);
    while (!stopped_ && co_await wake_.wait(pause) != net::Wake::kDeadline) {
    }
  }
}

std::string DirectPlace::why_away() const {
  const bool of_system = away_->os_code != 0 && away_->kind == ErrorKind::kConnect;
  std::string why = of_system ? std::generic_category().message(away_->os_code) : away_->what;
  const http::Proxy& proxy = settings_.connection.proxy;
  if (!proxy.given()) return why;
  constexpr std::string_view kProxy = "the proxy";
  std::string named(kProxy);
  named.append(" at ").append(proxy.host).append(":").append(std::to_string(proxy.port));
  if (why.starts_with(kProxy)) return named + why.substr(kProxy.size());
  // Whoever is asked for a connection is the proxy.
  return of_system ? named + ": " + why : why + " (through " + named + ")";
}

void DirectPlace::note_facts() {
  facts_.clear();
  for (std::size_t i = 0; i < listed_.facts.size(); ++i) {
    if (listed_.facts[i] != ModelFacts()) facts_.emplace(listed_.names[i], listed_.facts[i]);
  }
}

// Where a list has the names that calls are made with.
std::string DirectPlace::find_lacking() const {
  constexpr std::size_t kMost = 5;
  std::string lacking;
  if (!settings_.kind.lists_models) return lacking;
  const std::unordered_set<std::string_view> listed(listed_.names.begin(), listed_.names.end());
  std::size_t found = 0;
  for (const std::string& name : settings_.models) {
    const std::string_view theirs = called(name);
    if (listed.contains(theirs)) continue;
    if (++found > kMost) return lacking.append(", …");
    if (found > 1) lacking.append(", ");
    lacking.append(name);
    if (theirs != name) lacking.append("=").append(theirs);
  }
  return lacking;
}

ModelFacts DirectPlace::facts_of(std::string_view model) const noexcept {
  const auto found = facts_.find(model);
  return found == facts_.end() ? ModelFacts() : found->second;
}

// What answers any path with 200 is no health: JSON has to come. Nothing is asked where the conf names no path.
Task<Status> DirectPlace::ask_health() {
  constexpr std::size_t kMostBytes = 64u << 10;
  if (settings_.health_path.empty()) co_return ok();
  const std::span<const http::Header> headers(headers_.data(), settings_.credential_header.empty() ? 0 : 1);
  const http::OutgoingRequest request{.method = "GET", .path = settings_.health_path, .headers = headers, .body = {}};
  ask_until_ = net::Deadline::after(kAskTime);
  const std::unique_ptr<http::OutgoingCall> call = pool_.start(request, wake_, ask_until_);
  SLUICE_CO_TRY(co_await http::read_answer(*call, wake_, ask_until_, kMostBytes));
  if (call->head()->status != 200)
    co_return upstream_error(ErrorKind::kUpstream, "its health_path does not answer with 200");
  if (!is_json(call->body().view()))
    co_return upstream_error(ErrorKind::kProtocol, "its health_path answers with something that is not JSON");
  co_return ok();
}

Task<Result<ModelList>> DirectPlace::ask_models() {
  const bool key = !settings_.credential_header.empty();
  const bool version = !settings_.kind.version_header.empty();
  const std::span<const http::Header> headers(headers_.begin() + (key ? 0 : 1), headers_.begin() + (version ? 2 : 1));
  const http::OutgoingRequest request{.method = "GET", .path = models_path_, .headers = headers, .body = {}};
  ask_until_ = net::Deadline::after(kAskTime);
  const std::unique_ptr<http::OutgoingCall> call = pool_.start(request, wake_, ask_until_);
  SLUICE_CO_TRY(co_await http::read_answer(*call, wake_, ask_until_, kModelListBytes));
  const unsigned status = call->head()->status;
  if (status == 401 || status == 403)
    co_return upstream_error(ErrorKind::kUpstream,
                             "it refused the question for them: check its api_key and credential in the conf");
  if (status != 200)
    co_return upstream_error(
        ErrorKind::kUpstream,
        "it did not answer GET /v1/models with 200: check its url, or name its models in the conf");
  co_return read_model_list(call->body().view());
}

}  // namespace sluice::upstream
