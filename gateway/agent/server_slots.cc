#include "agent/server_slots.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"

namespace sluice::agent {
namespace {

constexpr std::uint64_t kMost = 1'000'000;

std::optional<std::uint32_t> slots_of(const json::object& object, std::string_view name) {
  const std::uint64_t slots = number_of(object, name);
  if (slots == 0) return std::nullopt;
  return static_cast<std::uint32_t>(std::min(slots, kMost));
}

}  // namespace

std::optional<std::uint32_t> read_llama_props(std::string_view body) {
  const auto object = parse_object(body, kSlotAnswerBytes);
  return object ? slots_of(*object, "total_slots") : std::nullopt;
}

std::optional<std::uint32_t> read_sglang_info(std::string_view body) {
  const auto object = parse_object(body, kSlotAnswerBytes);
  return object ? slots_of(*object, "max_running_requests") : std::nullopt;
}

std::optional<std::uint32_t> read_vllm_metrics(std::string_view body) {
  constexpr std::string_view kLabel = "max_num_seqs=\"";
  const std::size_t at = body.find(kLabel);
  if (at == std::string_view::npos) return std::nullopt;
  body.remove_prefix(at + kLabel.size());
  std::uint64_t slots = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), slots);
  if (error != std::errc{} || end == body.data() + body.size() || *end != '"' || slots == 0) return std::nullopt;
  return static_cast<std::uint32_t>(std::min(slots, kMost));
}

}  // namespace sluice::agent
