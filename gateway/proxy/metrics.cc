#include "proxy/metrics.h"

namespace sluice::proxy {

void WorkerMetrics::call_ended(std::size_t endpoint, const policy::Outcome& outcome,
                               const observe::ModelMeters* tokens) noexcept {
  shard_.add(meters_.requests(endpoint, outcome.status));
  shard_.add(meters_.end(outcome.reason));
  shard_.record(meters_.duration, outcome.duration);
  if (outcome.ttft.count() >= 0) shard_.record(meters_.ttft, outcome.ttft);
  if (outcome.reason == EndReason::kClientGone) shard_.add(meters_.clients_gone);
  if (outcome.reason == EndReason::kUpstreamFailed || outcome.reason == EndReason::kUpstreamError)
    shard_.add(meters_.upstream_failures);
  used(outcome.usage, tokens);
}

void WorkerMetrics::used(const Usage& usage, const observe::ModelMeters* tokens) noexcept {
  if (tokens == nullptr || usage.source == UsageSource::kNone) return;
  shard_.add(tokens->prompt, usage.prompt_tokens);
  shard_.add(tokens->cached, usage.cached_tokens);
  shard_.add(tokens->completion, usage.completion_tokens);
  shard_.add(tokens->reasoning, usage.reasoning_tokens);
}

}  // namespace sluice::proxy
