#include "upstream/breaker.h"

#include <algorithm>

namespace sluice::upstream {
namespace {

constexpr unsigned kCountBits = 20;
constexpr std::uint64_t kMostCounted = (1U << kCountBits) - 1;
constexpr std::uint64_t kWindowMask = (1U << 24) - 1;

MonoTime::rep rep_of(MonoTime time) noexcept { return time.time_since_epoch().count(); }
MonoTime time_of(MonoTime::rep rep) noexcept { return MonoTime(MonoTime::duration(rep)); }

}  // namespace

const char* to_string(Fault fault) noexcept {
  switch (fault) {
    case Fault::kConnect:
      return "connections fail";
    case Fault::kRefused:
      return "calls are refused";
    case Fault::kLost:
      return "connections are lost";
    case Fault::kStatus:
      return "it answers with errors of its own (5xx)";
    case Fault::kTimeout:
      return "it does not answer in time";
    case Fault::kSlowHead:
      return "its streams begin too late";
    case Fault::kBroken:
      return "its answers break off or are none";
    case Fault::kKey:
      return "it refuses the gateway's key";
  }
  return "";
}

Breaker::Gate Breaker::gate(MonoTime now, MonoTime healthy) const noexcept {
  const Rep out = out_until_.load(std::memory_order_relaxed);
  if (out == 0) return rep_of(now) < held_until_.load(std::memory_order_relaxed) ? Gate::kHeldOff : Gate::kWell;
  if (rep_of(now) < out || rep_of(healthy) < ejected_at_.load(std::memory_order_relaxed)) return Gate::kEjected;
  return Gate::kTrial;
}

MonoTime Breaker::until() const noexcept {
  return time_of(std::max(out_until_.load(std::memory_order_relaxed), held_until_.load(std::memory_order_relaxed)));
}

bool Breaker::begin_trial(MonoTime now) noexcept {
  Rep out = out_until_.load(std::memory_order_relaxed);
  if (out == 0) return true;  // it is back
  return rep_of(now) >= out &&
         out_until_.compare_exchange_strong(out, rep_of(now + pause()), std::memory_order_relaxed);
}

Breaker::Counts Breaker::count(MonoTime now, std::uint64_t failures, const BreakerSettings& settings) noexcept {
  const auto window = static_cast<std::uint64_t>(now.time_since_epoch() / settings.window) & kWindowMask;
  std::uint64_t seen = counts_.load(std::memory_order_relaxed);
  for (;;) {
    Counts counts{window, 0, 0};
    if (seen >> (2 * kCountBits) == window) counts = {window, seen >> kCountBits & kMostCounted, seen & kMostCounted};
    if (counts.calls == kMostCounted) counts = {window, counts.calls / 2, counts.failures / 2};
    ++counts.calls;
    counts.failures += failures;
    const std::uint64_t next = window << (2 * kCountBits) | counts.calls << kCountBits | counts.failures;
    if (counts_.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return counts;
  }
}

Flip Breaker::succeeded(MonoTime began, MonoTime now, const BreakerSettings& settings) noexcept {
  if (in_a_row_.load(std::memory_order_relaxed) != 0) in_a_row_.store(0, std::memory_order_relaxed);
  if (held_until_.load(std::memory_order_relaxed) != 0 && rep_of(now) >= held_until_.load(std::memory_order_relaxed))
    held_until_.store(0, std::memory_order_relaxed);
  Rep out = out_until_.load(std::memory_order_relaxed);
  if (out == 0) {
    (void)count(now, 0, settings);
    return Flip::kNone;
  }
  if (rep_of(began) < ejected_at_.load(std::memory_order_relaxed)) return Flip::kNone;
  counts_.store(0, std::memory_order_relaxed);
  back_at_.store(rep_of(now), std::memory_order_relaxed);
  return out_until_.exchange(0, std::memory_order_relaxed) == 0 ? Flip::kNone : Flip::kBack;
}

Flip Breaker::failed(MonoTime began, MonoTime now, Fault fault, const BreakerSettings& settings) noexcept {
  if (!settings.enabled) return Flip::kNone;
  const bool out = out_until_.load(std::memory_order_relaxed) != 0;
  if (rep_of(began) < (out ? ejected_at_ : back_at_).load(std::memory_order_relaxed)) return Flip::kNone;
  fault_.store(fault, std::memory_order_relaxed);
  if (out) return eject(now, settings);
  const std::uint32_t in_a_row = in_a_row_.fetch_add(1, std::memory_order_relaxed) + 1;
  const Counts counts = count(now, 1, settings);
  const bool often =
      counts.calls >= settings.rate_calls && counts.failures * 100 >= counts.calls * settings.rate_percent;
  return in_a_row >= settings.failures || often ? eject(now, settings) : Flip::kNone;
}

// The first time for eject_time; each time that it did not last, for twice as long.
Flip Breaker::eject(MonoTime now, const BreakerSettings& settings) noexcept {
  Rep out = out_until_.load(std::memory_order_relaxed);
  const bool again = out != 0 || rep_of(now - settings.window) < back_at_.load(std::memory_order_relaxed);
  const std::chrono::milliseconds before = again ? pause() : std::chrono::milliseconds{0};
  const auto next =
      std::clamp(2 * before, settings.eject_time, std::max(settings.eject_time, settings.most_eject_time));
  if (!out_until_.compare_exchange_strong(out, rep_of(now + next), std::memory_order_relaxed)) return Flip::kNone;
  pause_ms_.store(static_cast<std::uint32_t>(next.count()), std::memory_order_relaxed);
  ejected_at_.store(rep_of(now), std::memory_order_relaxed);
  in_a_row_.store(0, std::memory_order_relaxed);
  if (out != 0) return Flip::kNone;
  ejections_.fetch_add(1, std::memory_order_relaxed);
  return Flip::kEjected;
}

void Breaker::hold_off(MonoTime now, std::chrono::milliseconds pause, const BreakerSettings& settings) noexcept {
  if (settings.enabled)
    held_until_.store(rep_of(now + std::min(pause, settings.most_hold_off)), std::memory_order_relaxed);
}

}  // namespace sluice::upstream
