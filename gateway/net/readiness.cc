#include "net/readiness.h"

#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <cerrno>
#include <system_error>

#include "base/clock.h"

namespace sluice::net {
namespace {

// How long those that became ready together may run before others have their turn, and how often that is asked.
constexpr std::chrono::milliseconds kTurnTime{1};
constexpr std::size_t kToldAtOnce = 16;

int make_epoll() {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  return fd;
}

Readiness::Edge edge_of(std::uint32_t events) noexcept {
  const bool all = (events & (EPOLLHUP | EPOLLERR)) != 0;
  return {.readable = all || (events & (EPOLLIN | EPOLLRDHUP)) != 0,
          .writable = all || (events & EPOLLOUT) != 0,
          .ended = all || (events & EPOLLRDHUP) != 0};
}

}  // namespace

Readiness::Readiness(asio::io_context& io) : io_(io), epoll_(io.get_executor(), make_epoll()) {}

bool Readiness::add(int fd, Watched& watched) noexcept {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = &watched}};
  return ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Readiness::remove(int fd, const Watched& watched) noexcept {
  (void)::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
  for (std::size_t i = at_; i != count_; ++i) {
    if (events_[i].data.ptr == &watched) events_[i].data.ptr = nullptr;
  }
}

void Readiness::expect() {
  ++expected_;
  if (state_ == State::kIdle) watch();
}

void Readiness::forget() noexcept {
  boost::system::error_code ignored;
  if (--expected_ == 0 && state_ == State::kWatching) epoll_.cancel(ignored);
}

void Readiness::watch() {
  state_ = State::kWatching;
  epoll_.async_wait(decltype(epoll_)::wait_read, [this](boost::system::error_code) {
    collect();
    tell();
  });
}

void Readiness::collect() noexcept {
  const int count = ::epoll_wait(epoll_.native_handle(), events_.data(), static_cast<int>(events_.size()), 0);
  state_ = State::kTelling;
  at_ = 0;
  count_ = count < 0 ? 0 : static_cast<std::size_t>(count);
}

void Readiness::tell() {
  const MonoTime began = count_ - at_ > kToldAtOnce ? Mono::now() : MonoTime{};
  for (std::size_t told = 0; at_ != count_; ++told) {
    if (told != 0 && told % kToldAtOnce == 0 && Mono::now() - began > kTurnTime) {
      asio::post(io_, [this] { tell(); });
      return;
    }
    const epoll_event& event = events_[at_++];
    if (event.data.ptr != nullptr) static_cast<Watched*>(event.data.ptr)->became_ready(edge_of(event.events));
  }
  state_ = State::kIdle;
  if (expected_ != 0) watch();
}

}  // namespace sluice::net
