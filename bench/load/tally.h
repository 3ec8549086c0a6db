// What one thread of the load generator saw within the measured window.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "load/histogram.h"

namespace sluice::bench {

enum class Fault : std::uint8_t { kConnect, kHandshake, kStatus, kBroken, kClosed, kEvents, kUnfinished };
inline constexpr std::size_t kFaults = 7;
inline constexpr std::array<const char*, kFaults> kFaultNames{"connect", "handshake", "status",    "broken",
                                                              "closed",  "events",    "unfinished"};

struct Tally {
  Histogram latency;        // from the intended start to the last byte
  Histogram first;          // to the first byte of the answer, or to its first event
  Histogram gap;            // between events of one stream
  Histogram handshake;      // from connect() to the end of the handshake
  std::uint64_t calls = 0;  // that ended well within the window
  std::uint64_t events = 0;
  std::uint64_t reads = 0;  // with payload
  std::uint64_t bytes_in = 0;
  std::uint64_t aborts = 0;
  std::uint64_t connects = 0;
  std::uint64_t resumed = 0;
  std::array<std::uint64_t, kFaults> faults{};
  unsigned last_status = 0;  // of an answer that was not 200
  std::string cipher;

  void merge(const Tally& other) {
    latency.merge(other.latency);
    first.merge(other.first);
    gap.merge(other.gap);
    handshake.merge(other.handshake);
    calls += other.calls;
    events += other.events;
    reads += other.reads;
    bytes_in += other.bytes_in;
    aborts += other.aborts;
    connects += other.connects;
    resumed += other.resumed;
    for (std::size_t i = 0; i < kFaults; ++i) faults[i] += other.faults[i];
    if (other.last_status != 0) last_status = other.last_status;
    if (cipher.empty()) cipher = other.cipher;
  }
};

}  // namespace sluice::bench
