#include "agent/backend.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "http/read_answer.h"

namespace sluice::agent {
namespace {

constexpr std::chrono::seconds kAskTime{5};
constexpr std::chrono::seconds kAwayInterval{1};

http::ClientPoolOptions pool_options(http::BaseUrl url, const RunOptions& options) {
  http::ClientPoolOptions client;
  client.url = std::move(url);
  client.gap = std::chrono::milliseconds(options.head_time_ms);
  return client;
}

}  // namespace

Backend::Backend(net::Loop& loop, net::TaskGroup& tasks, http::BaseUrl url, const RunOptions& options,
                 Reporter& reporter)
    : options_(options),
      reporter_(reporter),
      pool_(loop, tasks, pool_options(std::move(url), options)),
      wake_(loop),
      asked_(loop) {
  const auto* const cap = std::ranges::find(tunnel::kCapMemberNames, options.cap_member);
  const bool known = cap != std::end(tunnel::kCapMemberNames);
  reporter_.set_hello(options.usage_in_stream,
                      known ? static_cast<tunnel::CapMember>(cap - tunnel::kCapMemberNames) : tunnel::CapMember::kAuto);
}

Task<void> Backend::watch() {
  while (!stopped_) {
    Result<upstream::ModelList> models = co_await ask_models();
    if (stopped_) break;
    if (models) {
      note_left_out(models->left_out);
      reporter_.set_models(*models, options_.slots);
    } else {
      reporter_.set_unavailable();
    }
    const std::chrono::milliseconds interval(options_.poll_interval_ms);
    const std::chrono::milliseconds pause =
        models ? interval : std::min<std::chrono::milliseconds>(interval, kAwayInterval);
    (void)co_await wake_.wait(net::Deadline::after(pause));
  }
}

void Backend::note_left_out(std::size_t entries) {
  if (std::exchange(left_out_, entries) == entries || entries == 0) return;
  std::fprintf(stderr,
               "sluice agent: %zu entries of the model server's /v1/models have no usable id and are left out\n",
               entries);
}

void Backend::stop() noexcept {
  stopped_ = true;
  ask_until_ = {MonoTime::min()};
  asked_.notify();
  wake_.notify();
}

std::unique_ptr<http::OutgoingCall> Backend::start(const http::OutgoingRequest& request, net::Signal& wake) noexcept {
  return pool_.start(request, wake, net::Deadline::after(std::chrono::milliseconds(options_.head_time_ms)));
}

Task<Result<upstream::ModelList>> Backend::ask_models() {
  ask_until_ = net::Deadline::after(kAskTime);
  const http::OutgoingRequest request{"GET", "/v1/models", {}, {}};
  const std::unique_ptr<http::OutgoingCall> call = pool_.start(request, asked_, ask_until_);
  SLUICE_CO_TRY(co_await http::read_answer(*call, asked_, ask_until_, upstream::kModelListBytes));
  if (call->head()->status != 200)
    co_return upstream_error(ErrorKind::kUpstream, "the model server does not list its models");
  co_return upstream::read_model_list(call->body().view());
}

}  // namespace sluice::agent
