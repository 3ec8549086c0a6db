// Bytes that peers make the process hold, under one cap: heads and bodies, unfinished events, answers, what waits for a
// slow reader.
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

#include "base/error.h"

namespace sluice {

// Thread:   any.
// Lifetime: outlives every Holding of it.
class HeldBytes final {
 public:
  explicit HeldBytes(std::size_t cap_bytes) noexcept : cap_(cap_bytes) {}
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  // False: the cap would be passed, and nothing was taken.
  [[nodiscard]] bool take(std::size_t bytes) noexcept {
    if (held_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= cap_.load(std::memory_order_relaxed)) return true;
    held_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  void give(std::size_t bytes) noexcept { held_.fetch_sub(bytes, std::memory_order_relaxed); }
  void set_cap(std::size_t cap_bytes) noexcept { cap_.store(cap_bytes, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t held() const noexcept { return held_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> cap_;
  std::atomic<std::size_t> held_{0};
};

// A call that would hold more than the cap allows.
inline constexpr Error kHoldsTooMuch = {
    ErrorKind::kOverloaded, Origin::kSelf, Retry::kNo, 0, 0, "this gateway holds too much at once; retry"};

// What one holder has of them. Its first kilobytes are free, and the rest is counted in steps: what comes and goes
// between two events costs a comparison.
// Thread:   one at a time.
// Lifetime: gives everything back at its end.
class Holding final {
 public:
  static constexpr std::size_t kFreeBytes = 4 * 1024;
  static constexpr std::size_t kStepBytes = 16 * 1024;
  static constexpr std::size_t kSlackBytes = 64 * 1024;  // so much less is held before any is given back

  explicit Holding(HeldBytes* all) noexcept : all_(all) {}  // null: nothing is counted
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() { release(); }

  // So many bytes are held from now on. False: the cap is reached, and what was counted before stays counted.
  [[nodiscard]] bool set(std::size_t bytes) noexcept {
    const bool as_it_is = bytes <= kFreeBytes ? counted_ == 0 : bytes <= counted_ && counted_ - bytes <= kSlackBytes;
    return as_it_is || all_ == nullptr || change(bytes);
  }
  void release() noexcept {
    if (counted_ != 0) all_->give(std::exchange(counted_, 0));
  }
  [[nodiscard]] std::size_t counted() const noexcept { return counted_; }

 private:
  bool change(std::size_t bytes) noexcept {
    const std::size_t wanted = bytes <= kFreeBytes ? 0 : (bytes + kStepBytes - 1) / kStepBytes * kStepBytes;
    if (wanted <= counted_) {
      all_->give(counted_ - wanted);
    } else if (!all_->take(wanted - counted_)) {
      return false;
    }
    counted_ = wanted;
    return true;
  }

  HeldBytes* all_;
  std::size_t counted_ = 0;
};

}  // namespace sluice
