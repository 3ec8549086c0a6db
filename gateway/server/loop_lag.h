// How late a worker is: what is due on its loop waits for whatever runs on it, so a high lag says that something
// blocks, or that the machine has too few cores.
#pragma once

#include <boost/asio/basic_waitable_timer.hpp>

#include "net/loop.h"
#include "observe/metrics.h"

namespace sluice::server {

// Thread:   the loop's.
// Lifetime: stop() before the group that runs watch() is joined.
class LoopLag final {
 public:
  LoopLag(net::Loop& loop, observe::Shard& shard, observe::GaugeId gauge) noexcept
      : timer_(loop.executor()), shard_(shard), gauge_(gauge) {}

  // Shows the worst of the last ten to twenty seconds in the gauge, in microseconds, until stop().
  Task<void> watch();
  void stop() noexcept;

 private:
  asio::basic_waitable_timer<Mono, asio::wait_traits<Mono>, Executor>
      timer_;  // the wheel's tick would be part of the lag
  observe::Shard& shard_;
  const observe::GaugeId gauge_;
  bool stopped_ = false;
};

}  // namespace sluice::server
