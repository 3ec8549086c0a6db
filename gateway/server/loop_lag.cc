#include "server/loop_lag.h"

#include <algorithm>

namespace sluice::server {
namespace {

constexpr std::chrono::milliseconds kStep{200};
constexpr int kStepsOfAWindow = 50;

}  // namespace

Task<void> LoopLag::watch() {
  std::chrono::microseconds before{0}, worst{0};
  for (int step = 1; !stopped_; ++step) {
    timer_.expires_after(kStep);
    (void)co_await timer_.async_wait(use_task);
    worst = std::max(worst, std::chrono::duration_cast<std::chrono::microseconds>(Mono::now() - timer_.expiry()));
    shard_.set(gauge_, std::max(before, worst).count());
    if (step % kStepsOfAWindow == 0) before = std::exchange(worst, std::chrono::microseconds{0});
  }
}

void LoopLag::stop() noexcept {
  stopped_ = true;
  timer_.cancel();
}

}  // namespace sluice::server
