// What one thread needs to run: an io_context and the deadlines on it.
#pragma once

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <coroutine>
#include <utility>
#include <vector>

#include "base/task.h"
#include "net/deadline.h"
#include "net/readiness.h"

namespace sluice::net {

// Thread:   post() from any thread; everything else on the thread that runs io().
// Lifetime: outlives every socket, signal and task made on it.
class Loop final {
 public:
  explicit Loop(unsigned index = 0) : index_(index), io_(kHint), wheel_(io_), readiness_(io_) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] asio::io_context& io() noexcept { return io_; }
  [[nodiscard]] Executor executor() noexcept { return io_.get_executor(); }
  [[nodiscard]] DeadlineWheel& wheel() noexcept { return wheel_; }
  [[nodiscard]] Readiness& readiness() noexcept { return readiness_; }
  // 0 … workers-1.
  [[nodiscard]] unsigned index() const noexcept { return index_; }
  [[nodiscard]] bool here() const noexcept { return io_.get_executor().running_in_this_thread(); }

  // Resumes `coroutine` in a later turn, together with all that become ready until then, in their order: one read that
  // feeds a hundred streams costs one turn.
  void resume_later(std::coroutine_handle<> coroutine) {
    if (ready_.empty()) asio::post(io_, [this] { resume_ready(); });
    ready_.push_back(coroutine);
  }

  // `co_await loop.yield()` goes on behind everything that is ready now, sockets and deadlines included.
  struct Yielding {
    asio::io_context& io;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> coroutine) const {
      asio::post(io, [coroutine] { coroutine.resume(); });
    }
    void await_resume() const noexcept {}
  };
  [[nodiscard]] Yielding yield() noexcept { return {io_}; }

  // Runs `work` on this loop, later. The one way in from other threads.
  template <class Work>
  void post(Work&& work) {
    asio::post(io_, std::forward<Work>(work));
  }

 private:
  // One thread runs it and only that thread touches its sockets, so they need no lock; post() keeps its own.
  static constexpr int kHint = BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO;
  // How long what became ready together may run before sockets and deadlines are looked at, and how often that is asked.
  static constexpr std::chrono::milliseconds kTurnTime{1};
  static constexpr std::size_t kResumedAtOnce = 16;

  void resume_ready() {
    resumed_.swap(ready_);  // what becomes ready from here on belongs to the next turn
    const MonoTime began = resumed_.size() > kResumedAtOnce ? Mono::now() : MonoTime{};
    for (std::size_t at = 0; at != resumed_.size();) {
      if (at != 0 && at % kResumedAtOnce == 0 && Mono::now() - began > kTurnTime) return leave_from(at);
      resumed_[at++].resume();
    }
    resumed_.clear();
  }

  // The turn has taken long enough: what is left goes first in the next one.
  void leave_from(std::size_t at) {
    if (ready_.empty()) asio::post(io_, [this] { resume_ready(); });
    ready_.insert(ready_.begin(), resumed_.begin() + static_cast<std::ptrdiff_t>(at), resumed_.end());
    resumed_.clear();
  }

  unsigned index_;
  mutable asio::io_context io_;
  DeadlineWheel wheel_;
  Readiness readiness_;
  std::vector<std::coroutine_handle<>> ready_;
  std::vector<std::coroutine_handle<>> resumed_;  // empty but inside resume_ready()
};

}  // namespace sluice::net
