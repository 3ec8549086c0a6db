#include "agent/backend.h"

#include "upstream/direct.h"

namespace sluice::agent {
namespace {

constexpr std::chrono::seconds kAskTime{5};
constexpr std::chrono::seconds kAwayInterval{1};
constexpr std::size_t kListBytes = 1024 * 1024;

http::ClientPoolOptions pool_options(http::BaseUrl url, const RunOptions& options) {
  http::ClientPoolOptions client;
  client.url = std::move(url);
  client.gap = std::chrono::milliseconds(options.head_time_ms);
  return client;
}

}  // namespace

Backend::Backend(net::Loop& loop, net::TaskGroup& tasks, http::BaseUrl url, const RunOptions& options,
                 Reporter& reporter)
    : loop_(loop),
      options_(options),
      reporter_(reporter),
      pool_(loop, tasks, pool_options(std::move(url), options)),
      wake_(loop) {}

Task<void> Backend::watch() {
  while (!stopped_) {
    Result<std::vector<std::string>> models = co_await ask_models();
    if (stopped_) break;
    if (models) {
      reporter_.set_models(std::move(*models), options_.slots);
    } else {
      reporter_.set_unavailable();
    }
    const std::chrono::milliseconds interval(options_.poll_interval_ms);
    const std::chrono::milliseconds pause =
        models ? interval : std::min<std::chrono::milliseconds>(interval, kAwayInterval);
    (void)co_await wake_.wait(net::Deadline::after(pause));
  }
}

void Backend::stop() noexcept {
  stopped_ = true;
  wake_.notify();
}

std::unique_ptr<http::OutgoingCall> Backend::start(const http::OutgoingRequest& request, net::Signal& wake) noexcept {
  return pool_.start(request, wake, net::Deadline::after(std::chrono::milliseconds(options_.head_time_ms)));
}

Task<Result<std::vector<std::string>>> Backend::ask_models() {
  net::Signal wake(loop_);
  const net::Deadline deadline = net::Deadline::after(kAskTime);
  const http::OutgoingRequest request{"GET", "/v1/models", {}, {}};
  const std::unique_ptr<http::OutgoingCall> call = pool_.start(request, wake, deadline);
  std::string text;
  for (;;) {
    text.append(call->body().view());
    const std::size_t arrived = call->body().size();
    call->body().clear();
    call->taken(arrived);
    if (call->state() != http::CallState::kRunning || text.size() > kListBytes) break;
    if (co_await wake.wait(deadline) == net::Wake::kDeadline) break;
  }
  if (call->state() == http::CallState::kFailed) co_return call->error();
  if (call->state() != http::CallState::kEnded || call->head()->status != 200) {
    co_return upstream_error(ErrorKind::kUpstream, "the model server does not list its models");
  }
  co_return upstream::read_model_list(text);
}

}  // namespace sluice::agent
