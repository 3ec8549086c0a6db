// How many calls a model server takes at once, where it says so.
//
//   llama.cpp   GET /props            {"total_slots": 4, …}
//   SGLang      GET /get_server_info  {"max_running_requests": 128, …}
//   vLLM        GET /metrics          …max_num_seqs="256"…
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::agent {

struct SlotQuestion {
  std::string_view path;
  // Nothing: this answer does not say.
  std::optional<std::uint32_t> (*read)(std::string_view body);
};

[[nodiscard]] std::optional<std::uint32_t> read_llama_props(std::string_view body);
[[nodiscard]] std::optional<std::uint32_t> read_sglang_info(std::string_view body);
[[nodiscard]] std::optional<std::uint32_t> read_vllm_metrics(std::string_view body);

inline constexpr std::array<SlotQuestion, 3> kSlotQuestions{
    {{"/props", &read_llama_props}, {"/get_server_info", &read_sglang_info}, {"/metrics", &read_vllm_metrics}}};
inline constexpr std::size_t kSlotAnswerBytes = 1u << 20;

}  // namespace sluice::agent
