#include "agent/telemetry.h"

#include <gtest/gtest.h>

namespace sluice::agent {
namespace {

TEST(Telemetry, ReadsGpusAndSkipsWhatIsNotOne) {
  const auto gpus = parse_gpus("NVIDIA RTX 6000 Ada, 37, 1024, 49140\nnot a line\nTesla T4, [N/A], 0, 15360\n");
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[0].name, "NVIDIA RTX 6000 Ada");
  EXPECT_EQ(gpus[0].percent, 37u);
  EXPECT_EQ(gpus[0].memory_used_bytes, 1024u * 1024 * 1024);
  EXPECT_EQ(gpus[1].percent, 0u);
}

TEST(Telemetry, ReadsCpuTimes) {
  const CpuTimes times = parse_cpu("cpu  10 0 20 60 5 0 3 2 0 0\ncpu0 1 1 1 1\n");
  EXPECT_EQ(times.total, 100u);
  EXPECT_EQ(times.idle, 65u);
}

TEST(Telemetry, ReadsMemory) {
  tunnel::Telemetry telemetry;
  parse_memory("MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\n", telemetry);
  EXPECT_EQ(telemetry.memory_total_bytes, 1000u * 1024);
  EXPECT_EQ(telemetry.memory_used_bytes, 600u * 1024);
}

}  // namespace
}  // namespace sluice::agent
