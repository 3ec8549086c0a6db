#include "net/signal.h"

#include <utility>

namespace sluice::net {

void Signal::notify() noexcept {
  if (waiter_) {
    resume(Wake::kNotified);
  } else {
    pending_ = true;
  }
}

// A deadline that has passed already is left to the wheel, which is never more than a tick late: asking the clock at
// each wait would cost more.
bool Signal::Waiting::await_ready() noexcept {
  signal_.wake_ = Wake::kNotified;
  return std::exchange(signal_.pending_, false);
}

void Signal::Waiting::await_suspend(std::coroutine_handle<> waiter) noexcept {
  signal_.arm(deadline_);
  signal_.waiter_ = waiter;
}

void Signal::expired() noexcept {
  if (waiter_) resume(Wake::kDeadline);
}

void Signal::resume(Wake wake) noexcept {
  disarm();
  wake_ = wake;
  loop_.resume_later(std::exchange(waiter_, nullptr));
}

}  // namespace sluice::net
