// Which sockets of a loop can be read or written: an epoll of our own, edge-triggered, in which each stands once for its
// whole life. asio's async_wait makes a system call for each wait (epoll_ctl, to see what came before it), two for each
// small call that is relayed; here one pays for all sockets that became ready together, because asio watches this
// epoll alone.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstddef>
#include <cstdint>

#include "base/task.h"

namespace sluice::net {

// Thread:   the one that runs `io`.
// Lifetime: `io` outlives it; what is watched is removed before it ends, and may be removed inside any became_ready().
class Readiness final {
 public:
  // What became so since the last time: an edge. Nothing is said twice, so whoever has not read to the end remembers it.
  struct Edge {
    bool readable = false;
    bool writable = false;
    bool ended = false;  // the peer's side, or all: a read finds it behind what is still there
  };
  class Watched {
   public:
    virtual void became_ready(Edge edge) noexcept = 0;

   protected:
    ~Watched() = default;
  };

  // Throws std::system_error where the system has no epoll to give.
  explicit Readiness(asio::io_context& io);
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  // The first edges say what is so now. False: the system has no room for it.
  [[nodiscard]] bool add(int fd, Watched& watched) noexcept;
  void remove(int fd, const Watched& watched) noexcept;

  // Somebody waits for an edge, and does no longer: io's run() does not end before. Each expect() has its forget().
  void expect();
  void forget() noexcept;

 private:
  static constexpr std::size_t kMostAtOnce = 128;

  void watch();
  void collect() noexcept;
  void tell();

  asio::io_context& io_;
  asio::posix::basic_stream_descriptor<Executor> epoll_;
  std::array<epoll_event, kMostAtOnce> events_{};  // told up to at_
  std::size_t at_ = 0;
  std::size_t count_ = 0;
  std::size_t expected_ = 0;
  enum class State : std::uint8_t { kIdle, kWatching, kTelling };
  State state_ = State::kIdle;
};

}  // namespace sluice::net
