// What the gateway itself asks of a place, beside the calls of its clients.
#pragma once

#include "proxy/worker.h"

namespace sluice::proxy {

// Stands among the worker's running calls, so that the end of the process ends it, too.
// Thread:   the worker's.
// Lifetime: the worker outlives it.
class Errand final {
 public:
  explicit Errand(Worker& worker) : worker_(worker), wake(worker.loop) {
    call.wake = &wake;
    at_ = worker_.running.insert(worker_.running.end(), &call);
  }
  Errand(const Errand&) = delete;
  Errand& operator=(const Errand&) = delete;
  ~Errand() { worker_.running.erase(at_); }

 private:
  Worker& worker_;
  std::list<RunningCall*>::iterator at_;

 public:
  net::Signal wake;
  RunningCall call;
};

}  // namespace sluice::proxy
