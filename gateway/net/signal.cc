#include "net/signal.h"

namespace sluice::net {

void Signal::notify() noexcept {
  if (waiter_) {
    resume(Wake::kNotified);
  } else {
    pending_ = true;
  }
}

Task<Wake> Signal::wait(Deadline deadline) {
  if (pending_) {
    pending_ = false;
    co_return Wake::kNotified;
  }
  if (deadline.passed()) co_return Wake::kDeadline;
  arm(deadline);
  co_return co_await asio::async_initiate<const Token, void(Wake)>(
      [this](Handler handler) { waiter_.emplace(std::move(handler)); }, Token{});
}

void Signal::expired() noexcept {
  if (waiter_) resume(Wake::kDeadline);
}

void Signal::resume(Wake wake) noexcept {
  disarm();
  auto resumed = [handler = std::move(*waiter_), wake]() mutable { std::move(handler)(wake); };
  waiter_.reset();
  asio::post(loop_.io(), std::move(resumed));
}

}  // namespace sluice::net
