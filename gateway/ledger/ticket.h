// What one call holds in the ledger while it runs: a concurrency slot on every limit that counts them, charged tokens,
// and one reservation over every budget that applies. One owner, one finaliser.
#pragma once

#include <array>
#include <cstdint>
#include <chrono>

namespace sluice::ledger {

// What the x-ratelimit headers say: the tightest limit of each kind that applies to the call.
struct RateView {
  bool present = false;
  std::uint64_t limit = 0;
  std::uint64_t remaining = 0;
  std::chrono::milliseconds reset{0};
};

// Lifetime: in the call's frame. Movable is not needed and not offered.
struct Ticket {
  RateView requests;
  RateView tokens;
  // The ledger adds here what it holds (cells, amounts); see ledger.h.
};

}  // namespace sluice::ledger
