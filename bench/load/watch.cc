#include "load/watch.h"

#include <time.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace sluice::bench {

Watched look_at(int pid) {
  Watched seen;
  seen.pid = pid;
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &time) == 0) {
    seen.cpu_ns = static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
  }
  std::uint64_t size_pages = 0;
  std::uint64_t resident_pages = 0;
  std::ifstream("/proc/" + std::to_string(pid) + "/statm") >> size_pages >> resident_pages;
  seen.rss_bytes = resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return seen;
}

std::vector<Watched> look_at(const std::vector<int>& pids) {
  std::vector<Watched> seen;
  for (const int pid : pids) seen.push_back(look_at(pid));
  return seen;
}

}  // namespace sluice::bench
