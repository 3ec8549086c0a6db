// What bounds a peer that sends and sends: how much of it one turn of the loop takes, and how often it may ask for what
// costs.
//
// A loop that reads while its socket has bytes reads for ever from a peer that is quick enough, and everything else on
// the worker waits. So each stream has a turn: bytes, and records, because a record of one byte costs as much as one of
// a kilobyte. Where a turn is spent, the stream says kWouldBlock although it has more, and goes on behind everything
// that is ready on its loop. There its next turn begins, and nowhere else.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "base/clock.h"

namespace sluice::net {

// Thread: one.
class Turn final {
 public:
  // Some tenths of a millisecond of work, whatever the bytes are; a yield costs a microsecond.
  static constexpr std::size_t kBytes = 128 * 1024;
  static constexpr std::size_t kRecords = 512;

  void begin() noexcept { *this = {}; }
  void took_bytes(std::size_t bytes) noexcept { bytes_ -= std::min(bytes, bytes_); }
  void took_records(std::size_t records) noexcept { records_ -= std::min(records, records_); }
  [[nodiscard]] bool spent() const noexcept { return bytes_ == 0 || records_ == 0; }
  [[nodiscard]] std::size_t bytes_left() const noexcept { return bytes_; }

 private:
  std::size_t bytes_ = kBytes;
  std::size_t records_ = kRecords;
};

// So many at once, and then one every `interval`.
// Thread: one.
class Allowance final {
 public:
  constexpr Allowance(unsigned most, std::chrono::milliseconds interval) noexcept
      : most_(most), left_(most), interval_(interval) {}

  // False: too many.
  [[nodiscard]] bool take(MonoTime now) noexcept {
    if (left_ == most_) since_ = now;
    const auto earned = (now - since_) / interval_;
    since_ += earned * interval_;
    left_ = static_cast<unsigned>(std::min<long long>(most_, left_ + earned));
    if (left_ == 0) return false;
    --left_;
    return true;
  }

 private:
  unsigned most_;
  unsigned left_;
  std::chrono::milliseconds interval_;
  MonoTime since_{};
};

}  // namespace sluice::net
