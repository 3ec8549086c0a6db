// Deadlines of one worker: a hashed timer wheel, so that arming, moving and cancelling one costs a few instructions.
//
// A connection re-arms its deadline at every read and write; almost none ever fires. Re-arming to a later time only
// stores that time: the entry moves when its old slot comes round. Resolution is kTick.
#pragma once

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "base/clock.h"
#include "base/task.h"

namespace sluice::net {

// The latest moment for something; kNever for "no limit of its own".
struct Deadline {
  MonoTime at;
  static Deadline after(std::chrono::nanoseconds d) noexcept { return {Mono::now() + d}; }
  static constexpr Deadline never() noexcept { return {MonoTime::max()}; }
  [[nodiscard]] bool passed() const noexcept { return Mono::now() >= at; }
};

class DeadlineWheel;

// One alarm. Derive, implement expired().
// Thread:   owning worker only.
// Lifetime: disarms itself on destruction; the wheel outlives it.
class Alarm {
 public:
  explicit Alarm(DeadlineWheel& wheel) noexcept : wheel_(wheel) {}
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  virtual ~Alarm() { disarm(); }

  // Fires at or up to kTick after `deadline`; replaces an earlier arming. never() disarms.
  void arm(Deadline deadline) noexcept;
  void disarm() noexcept;
  [[nodiscard]] bool armed() const noexcept { return at_ != MonoTime::max(); }

 protected:
  // Called on the worker with the alarm disarmed; may arm it again or destroy it.
  virtual void expired() noexcept = 0;

 private:
  friend class DeadlineWheel;
  DeadlineWheel& wheel_;
  MonoTime at_ = MonoTime::max();
  std::size_t slot_ = 0;
  Alarm* next_ = nullptr;  // intrusive, circular per slot; null while not linked
  Alarm* previous_ = nullptr;
};

// Thread: owning worker only.
class DeadlineWheel final {
 public:
  static constexpr std::chrono::milliseconds kTick{10};
  static constexpr std::size_t kSlots = 1024;

  explicit DeadlineWheel(asio::io_context& io) : timer_(io) {}
  DeadlineWheel(const DeadlineWheel&) = delete;
  DeadlineWheel& operator=(const DeadlineWheel&) = delete;

 private:
  friend class Alarm;
  void link(Alarm& alarm) noexcept;
  void unlink(Alarm& alarm) noexcept;
  void start_ticking() noexcept;
  void tick() noexcept;
  void run_slot(std::size_t slot, MonoTime now) noexcept;

  asio::basic_waitable_timer<Mono, asio::wait_traits<Mono>, Executor> timer_;
  std::array<Alarm*, kSlots> slots_{};
  std::size_t linked_ = 0;
  std::int64_t current_tick_ = 0;  // ticks since the clock's epoch that have been run
  bool ticking_ = false;
  Alarm* running_next_ = nullptr;  // the next alarm of the slot being run, kept right by unlink()
};

}  // namespace sluice::net
