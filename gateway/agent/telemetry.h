// What the machine is doing: CPU and memory from /proc, GPUs from nvidia-smi where there is one.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "net/loop.h"
#include "tunnel/control.h"

namespace sluice::agent {

// The lines of `nvidia-smi --query-gpu=name,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits`.
[[nodiscard]] std::vector<tunnel::GpuHealth> parse_gpus(std::string_view text);

// The first line of /proc/stat: time spent at all, and time spent idle.
struct CpuTimes {
  std::uint64_t total = 0;
  std::uint64_t idle = 0;
};
[[nodiscard]] CpuTimes parse_cpu(std::string_view text) noexcept;
// "MemTotal" and "MemAvailable" of /proc/meminfo, into used and total bytes.
void parse_memory(std::string_view text, tunnel::Telemetry& into) noexcept;

// Samples on a thread of its own, because a program that is started and files that are read would block the loop.
// Thread:   the thread of `loop`.
// Lifetime: `loop` outlives it; the destructor waits for the thread, and for nvidia-smi if it runs, at most seconds.
class TelemetrySampler final {
 public:
  using Sampled = std::function<void(tunnel::Telemetry)>;
  TelemetrySampler(net::Loop& loop, std::chrono::milliseconds interval, Sampled sampled);
  ~TelemetrySampler();
  TelemetrySampler(const TelemetrySampler&) = delete;
  TelemetrySampler& operator=(const TelemetrySampler&) = delete;

 private:
  void run();
  [[nodiscard]] tunnel::Telemetry sample();

  net::Loop& loop_;
  std::chrono::milliseconds interval_;
  // Shared with what was posted and not yet run: emptied on destruction, so that a late sample goes nowhere.
  std::shared_ptr<Sampled> sampled_;
  CpuTimes before_;
  bool has_gpus_ = true;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace sluice::agent
