#include "agent/telemetry.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace sluice::agent {
namespace {

// `timeout`, because nvidia-smi hangs when the driver does.
constexpr const char* kGpuCommand =
    "timeout 3 nvidia-smi --query-gpu=name,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits "
    "2>/dev/null";

std::string read_file(const char* path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::string output_of(const char* command) {
  std::string text;
  std::FILE* const pipe = ::popen(command, "re");
  if (pipe == nullptr) return text;
  std::array<char, 4096> block;  // NOLINT: written by fread
  while (const std::size_t size = std::fread(block.data(), 1, block.size(), pipe)) text.append(block.data(), size);
  if (::pclose(pipe) != 0) text.clear();
  return text;
}

std::uint64_t number(std::string_view text) noexcept {
  std::uint64_t value = 0;
  return absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &value) ? value : 0;
}

}  // namespace

std::vector<tunnel::GpuHealth> parse_gpus(std::string_view text) {
  std::vector<tunnel::GpuHealth> gpus;
  for (const absl::string_view line :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, ", ");
    if (fields.size() != 4) continue;
    constexpr std::uint64_t kMiB = 1024 * 1024;
    gpus.push_back(
        {fields[0], static_cast<std::uint32_t>(number(fields[1])), number(fields[2]) * kMiB, number(fields[3]) * kMiB});
  }
  return gpus;
}

CpuTimes parse_cpu(std::string_view text) noexcept {
  CpuTimes times;
  std::istringstream line(std::string(text.substr(0, text.find('\n'))));
  std::string word;
  line >> word;
  std::uint64_t value = 0;
  for (int column = 0; column < 8 && line >> value; ++column) {  // user nice system idle iowait irq softirq steal
    times.total += value;
    if (column == 3 || column == 4) times.idle += value;
  }
  return times;
}

void parse_memory(std::string_view text, tunnel::Telemetry& into) noexcept {
  std::istringstream lines{std::string(text)};
  std::string name, unit;
  std::uint64_t kib = 0, total = 0, available = 0;
  while (lines >> name >> kib && std::getline(lines, unit)) {
    if (name == "MemTotal:") total = kib * 1024;
    if (name == "MemAvailable:") available = kib * 1024;
  }
  into.memory_total_bytes = total;
  into.memory_used_bytes = total > available ? total - available : 0;
}

TelemetrySampler::TelemetrySampler(net::Loop& loop, std::chrono::milliseconds interval, Sampled sampled)
    : loop_(loop), interval_(interval), sampled_(std::make_shared<Sampled>(std::move(sampled))) {
  thread_ = std::thread([this] { run(); });
}

TelemetrySampler::~TelemetrySampler() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  stopping_.notify_all();
  thread_.join();
  *sampled_ = nullptr;
}

void TelemetrySampler::run() {
  before_ = parse_cpu(read_file("/proc/stat"));
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    lock.unlock();
    tunnel::Telemetry telemetry = sample();
    loop_.post([sampled = sampled_, telemetry = std::move(telemetry)]() mutable {
      if (*sampled) (*sampled)(std::move(telemetry));
    });
    lock.lock();
    stopping_.wait_for(lock, interval_, [this] { return stopped_; });
  }
}

tunnel::Telemetry TelemetrySampler::sample() {
  tunnel::Telemetry telemetry;
  const CpuTimes now = parse_cpu(read_file("/proc/stat"));
  if (now.total > before_.total) {
    const std::uint64_t passed = now.total - before_.total;
    const std::uint64_t idle = std::min(now.idle - before_.idle, passed);
    telemetry.cpu_percent = static_cast<std::uint32_t>(100 * (passed - idle) / passed);
  }
  before_ = now;
  parse_memory(read_file("/proc/meminfo"), telemetry);
  if (has_gpus_) {
    telemetry.gpus = parse_gpus(output_of(kGpuCommand));
    has_gpus_ = !telemetry.gpus.empty();  // none at the first look: none to ask for again
  }
  return telemetry;
}

}  // namespace sluice::agent
