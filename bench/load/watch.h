// CPU time and memory of other processes, from the system's own accounting.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::bench {

struct Watched {
  int pid = 0;
  std::uint64_t cpu_ns = 0;  // all threads, also those that have ended; the clock is the scheduler's, not the tick
  std::uint64_t rss_bytes = 0;
};

Watched look_at(int pid);
std::vector<Watched> look_at(const std::vector<int>& pids);

}  // namespace sluice::bench
