// What one worker counts about its calls.
#pragma once

#include "observe/meters.h"
#include "policy/policy.h"

namespace sluice::proxy {

// Thread:   owning worker only.
// Lifetime: of `meters` and `shard`.
class WorkerMetrics final {
 public:
  WorkerMetrics(const observe::Meters& meters, observe::Shard& shard) noexcept : meters_(meters), shard_(shard) {}

  // A request to the endpoint of this number was answered, with what status and after how long; `tokens` null: the model has no series.
  void call_ended(std::size_t endpoint, const policy::Outcome& outcome, const observe::ModelMeters* tokens) noexcept;
  // So much was used of a model, in a call that has ended or one that was kept; `tokens` as above.
  void used(const Usage& usage, const observe::ModelMeters* tokens) noexcept;
  // A limit or a budget said no.
  void refused(ErrorKind kind) noexcept {
    if (kind == ErrorKind::kRateLimited) shard_.add(meters_.limited);
    if (kind == ErrorKind::kQuotaExceeded) shard_.add(meters_.over_budget);
  }
  // A call begins (1) or ceases (-1) to wait for a slot; `model` null: the model has no series.
  void waiting(std::int64_t change, const observe::ModelMeters* model) noexcept {
    shard_.add(meters_.waiting, change);
    if (model != nullptr) shard_.add(model->waiting, change);
    if (model != nullptr && change > 0) shard_.add(model->queued);
  }
  void queued(std::chrono::microseconds time) noexcept { shard_.record(meters_.queue_wait, time); }
  void queue_refused() noexcept { shard_.add(meters_.queue_refused); }
  void unauthorized() noexcept { shard_.add(meters_.unauthorized); }
  void connections(std::int64_t change) noexcept { shard_.add(meters_.connections, change); }
  void streams(std::int64_t change) noexcept { shard_.add(meters_.streams, change); }
  void handshake_refused() noexcept { shard_.add(meters_.handshakes_refused); }
  void ejected() noexcept { shard_.add(meters_.ejections); }
  void fault() noexcept { shard_.add(meters_.faults); }

 private:
  const observe::Meters& meters_;
  observe::Shard& shard_;
};

}  // namespace sluice::proxy
