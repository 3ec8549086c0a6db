#include "openai/answer.h"

#include "openai/json_text.h"
#include "openai/skim.h"

namespace sluice::openai {

std::optional<UsageReading> find_usage(const Endpoint& endpoint, std::string_view body) noexcept {
  std::optional<UsageReading> reading = read_usage(skim_find(body, "usage"));
  if (reading && endpoint.dialect == Dialect::kEmbedding) {
    Usage& usage = reading->usage;
    if (usage.prompt_tokens == 0) usage.prompt_tokens = usage.completion_tokens;
    usage.completion_tokens = usage.reasoning_tokens = 0;
  }
  return reading;
}

std::string_view find_model(std::string_view body, std::span<char> into) noexcept {
  const std::string_view value = skim_find(body, "model");
  if (!is_string(value)) return {};
  return unescape(unquoted(value), into);
}

}  // namespace sluice::openai
