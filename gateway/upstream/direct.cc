#include "upstream/direct.h"

#include <simdjson.h>

#include <utility>

#include "http/read_answer.h"

namespace sluice::upstream {
namespace {

constexpr std::chrono::milliseconds kAskTime{5'000};
constexpr std::chrono::milliseconds kRetryPause{1'000};
constexpr std::size_t kMostModels = 10'000;
constexpr std::size_t kNameBytes = 256;

}  // namespace

Result<std::vector<std::string>> read_model_list(std::string_view json) {
  constexpr Error kNotAList = {
      ErrorKind::kProtocol, Origin::kUpstream, Retry::kNo, 0, 0, "/v1/models is not a list of models"};
  simdjson::dom::parser parser;
  simdjson::dom::array data;
  if (parser.parse(json.data(), json.size())["data"].get(data) != simdjson::SUCCESS) return kNotAList;
  std::vector<std::string> models;
  for (const simdjson::dom::element entry : data) {
    std::string_view id;
    if (entry["id"].get(id) != simdjson::SUCCESS) return kNotAList;
    if (id.empty() || id.size() > kNameBytes || models.size() == kMostModels) continue;
    models.emplace_back(id);
  }
  return models;
}

DirectPlace::DirectPlace(net::Loop& loop, net::TaskGroup& tasks, DirectSettings settings, std::shared_ptr<Slots> slots)
    : settings_(std::move(settings)),
      slots_(std::move(slots)),
      headers_{http::Header{"authorization", settings_.authorization}},
      pool_(loop, tasks, settings_.connection),
      wake_(loop) {}

std::unique_ptr<http::OutgoingCall> DirectPlace::start(const http::OutgoingRequest& request,
                                                       net::Signal& wake) noexcept {
  return pool_.start(request, wake, net::Deadline::after(settings_.head_time));
}

void DirectPlace::stop() noexcept {
  stopped_ = true;
  ask_until_ = {MonoTime::min()};
  wake_.notify();
}

Task<void> DirectPlace::watch(Changed changed) {
  while (!stopped_) {
    std::vector<std::string> models;
    const Status asked = co_await ask_models(models);
    if (stopped_) co_return;
    // A server without the list is reachable all the same; only a failed connection says that it is not.
    reachable_ = asked || asked.error().kind == ErrorKind::kProtocol || asked.error().kind == ErrorKind::kUpstream;
    // What an upstream served it will serve again: a model does not become unknown because its server is away.
    if (asked) models_ = std::move(models);
    changed(settings_.models.empty() ? models_ : settings_.models);
    const net::Deadline pause = net::Deadline::after(reachable_ ? settings_.health_interval : kRetryPause);
    while (!stopped_ && co_await wake_.wait(pause) != net::Wake::kDeadline) {
    }
  }
}

Task<Status> DirectPlace::ask_models(std::vector<std::string>& models) {
  const http::OutgoingRequest request{.method = "GET", .path = "/v1/models", .headers = headers(), .body = {}};
  ask_until_ = net::Deadline::after(kAskTime);
  const std::unique_ptr<http::OutgoingCall> call = pool_.start(request, wake_, ask_until_);
  SLUICE_CO_TRY(co_await http::read_answer(*call, wake_, ask_until_, kModelListBytes));
  if (call->head()->status != 200)
    co_return upstream_error(ErrorKind::kUpstream, "the upstream did not answer GET /v1/models with 200");
  (void)call->body().prepare(simdjson::SIMDJSON_PADDING);
  Result<std::vector<std::string>> listed = read_model_list(call->body().view());
  if (!listed) co_return listed.error();
  models = std::move(*listed);
  co_return ok();
}

}  // namespace sluice::upstream
