// What one worker counts; the admin side adds workers up when it is asked.
#pragma once

#include "policy/policy.h"

namespace sluice::proxy {

// Thread: counts on the owning worker; read from anywhere.
class WorkerMetrics {
 public:
  virtual ~WorkerMetrics() = default;
  virtual void call_ended(const policy::Call& call, const policy::Outcome& outcome) noexcept = 0;
};

}  // namespace sluice::proxy
