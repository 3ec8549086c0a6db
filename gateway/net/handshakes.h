// The TLS handshakes of one worker, so that strangers cannot take it from those who are known: a hello of 300 bytes
// costs it a quarter of a millisecond, and a handshake that has begun 40 KiB until it ends.
#pragma once

#include <coroutine>
#include <cstdint>
#include <deque>
#include <list>

#include "net/loop.h"

namespace sluice::net {

class Stream;

// Thread:   owning worker only.
// Lifetime: outlives every handshake through it.
class Handshakes final {
 public:
  struct Bounds {
    std::size_t running = 1024;  // begun and not ended; one more ends the one that began first
    std::size_t waiting = 512;   // whose next step is to be computed; one more is refused
  };
  Handshakes(Loop& loop, Bounds bounds) noexcept : loop_(loop), bounds_(bounds) {}
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;

  void set_bounds(Bounds bounds) noexcept { bounds_ = bounds; }

  // One handshake under way. Lifetime: the stream outlives it.
  class Running final {
   public:
    Running(Handshakes& all, Stream& stream);
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() { all_.running_.erase(position_); }

   private:
    Handshakes& all_;
    std::list<Stream*>::iterator position_;
  };

  // `co_await handshakes.enter()` goes on when it is the caller's turn to compute a step: first come, first served, a
  // millisecond of them in each turn of the loop. kFull: at once, too many wait.
  enum class Entry : std::uint8_t { kGoOn, kFull };
  struct Entering {
    Handshakes& all;
    Entry entry = Entry::kGoOn;
    [[nodiscard]] bool await_ready() noexcept {
      if (all.waiting_.size() >= all.bounds_.waiting) entry = Entry::kFull;
      return entry == Entry::kFull;
    }
    void await_suspend(std::coroutine_handle<> coroutine) { all.wait_here(coroutine); }
    [[nodiscard]] Entry await_resume() const noexcept { return entry; }
  };
  [[nodiscard]] Entering enter() noexcept { return {*this}; }

  [[nodiscard]] std::size_t running() const noexcept { return running_.size(); }

 private:
  void wait_here(std::coroutine_handle<> coroutine);
  void run_some();

  Loop& loop_;
  Bounds bounds_;
  std::list<Stream*> running_;  // the first to begin in front
  std::deque<std::coroutine_handle<>> waiting_;
  bool posted_ = false;
};

}  // namespace sluice::net
