// What model servers say of how many calls they take at once.
#include "agent/server_slots.h"

#include <gtest/gtest.h>

namespace sluice::agent {
namespace {

TEST(ServerSlots, LlamaCppSaysSoInItsProps) {
  EXPECT_EQ(read_llama_props(R"({"default_generation_settings":{"n_ctx":4096},"total_slots":4,"model_path":"m.gguf"})"),
            4u);
  for (const std::string_view other :
       {R"({"total_slots":0})", R"({"total_slots":"4"})", R"({"error":"no"})", "<html>", ""})
    EXPECT_FALSE(read_llama_props(other)) << other;
}

TEST(ServerSlots, SglangSaysSoInItsServerInfo) {
  EXPECT_EQ(read_sglang_info(R"({"model_path":"m","max_running_requests":128,"tp_size":1})"), 128u);
  EXPECT_FALSE(read_sglang_info(R"({"max_running_requests":null})"));
}

TEST(ServerSlots, VllmSaysSoInALabelOfItsMetrics) {
  EXPECT_EQ(read_vllm_metrics("# HELP x\nvllm:scheduler_config_info{max_num_seqs=\"256\",policy=\"fcfs\"} 1.0\n"),
            256u);
  for (const std::string_view other : {"", "max_num_seqs=\"\"", "max_num_seqs=\"x\"", "max_num_seqs=\"12"})
    EXPECT_FALSE(read_vllm_metrics(other)) << other;
}

}  // namespace
}  // namespace sluice::agent
