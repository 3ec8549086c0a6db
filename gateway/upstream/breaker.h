// Whether a place is worth a call, told by how earlier ones ended: a sick place costs a handful of calls and then none,
// until a call of its own now and then shows that it is well again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace sluice::upstream {

// [breaker] of the conf.
struct BreakerSettings {
  bool enabled = true;
  std::uint32_t failures = 5;       // in a row
  std::uint32_t rate_percent = 50;  // or so many of the calls of a window,
  std::uint32_t rate_calls = 20;    // where it has so many
  std::chrono::milliseconds window{30'000};
  std::chrono::milliseconds slow_head{60'000};  // of a stream: a later head counts as a failure
  std::chrono::milliseconds eject_time{5'000};  // doubles each time, up to
  std::chrono::milliseconds most_eject_time{300'000};
  std::chrono::milliseconds most_hold_off{600'000};  // of what an upstream's Retry-After may ask for
};

// How a call failed at its place.
enum class Fault : std::uint8_t { kConnect, kRefused, kLost, kStatus, kTimeout, kSlowHead, kBroken, kKey };
[[nodiscard]] const char* to_string(Fault fault) noexcept;  // for people: "connections fail"

// What the end of a call has changed.
enum class Flip : std::uint8_t { kNone, kEjected, kBack };

// One place, with one model.
// Thread: any; a handful of atomics, no lock. Whoever reads while another writes may see the state of a moment ago.
class Breaker final {
 public:
  enum class Gate : std::uint8_t {
    kWell,
    kTrial,    // ejected, and its time is over: one call may try it
    kHeldOff,  // it asked not to be called for a while
    kEjected,
  };

  // Nearly always; costs no look at the clock.
  [[nodiscard]] bool well() const noexcept {
    return out_until_.load(std::memory_order_relaxed) == 0 && held_until_.load(std::memory_order_relaxed) == 0;
  }
  // `healthy`: when its health check last went well; one that failed since is not tried. max(): it has none.
  [[nodiscard]] Gate gate(MonoTime now, MonoTime healthy) const noexcept;
  // When it may be called again at the earliest; of several that may not, the first is the least bad.
  [[nodiscard]] MonoTime until() const noexcept;
  // Takes the one trial of this while. False: another call was quicker.
  [[nodiscard]] bool begin_trial(MonoTime now) noexcept;

  // A call that began at `began` has ended well, or badly. What began before the place was ejected says nothing any more.
  Flip succeeded(MonoTime began, MonoTime now, const BreakerSettings& settings) noexcept;
  Flip failed(MonoTime began, MonoTime now, Fault fault, const BreakerSettings& settings) noexcept;
  // It asked for so long a pause (Retry-After of its 429 or 503).
  void hold_off(MonoTime now, std::chrono::milliseconds pause, const BreakerSettings& settings) noexcept;

  // For people.
  [[nodiscard]] Fault fault() const noexcept { return fault_.load(std::memory_order_relaxed); }  // the last one
  [[nodiscard]] std::chrono::milliseconds pause() const noexcept {
    return std::chrono::milliseconds(pause_ms_.load(std::memory_order_relaxed));
  }
  [[nodiscard]] std::uint64_t ejections() const noexcept { return ejections_.load(std::memory_order_relaxed); }

 private:
  using Rep = MonoTime::rep;
  // Calls and failures of one window, in one word: its number, 24 bits; calls, 20; failures, 20.
  struct Counts {
    std::uint64_t window = 0, calls = 0, failures = 0;
  };
  Counts count(MonoTime now, std::uint64_t failures, const BreakerSettings& settings) noexcept;
  Flip eject(MonoTime now, const BreakerSettings& settings) noexcept;

  std::atomic<Rep> out_until_{0};   // 0: not ejected
  std::atomic<Rep> held_until_{0};  // 0: not held off
  std::atomic<Rep> ejected_at_{0};
  std::atomic<Rep> back_at_{0};
  std::atomic<std::uint64_t> counts_{0};
  std::atomic<std::uint64_t> ejections_{0};
  std::atomic<std::uint32_t> in_a_row_{0};
  std::atomic<std::uint32_t> pause_ms_{0};  // of the last ejection
  std::atomic<Fault> fault_{Fault::kConnect};
};

}  // namespace sluice::upstream
