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

bool Signal::Waiting::await_ready() noexcept {
  const bool notified = std::exchange(signal_.pending_, false);
  signal_.wake_ = notified ? Wake::kNotified : Wake::kDeadline;
  return notified || deadline_.passed();
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
