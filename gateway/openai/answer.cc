#include "openai/answer.h"

#include "openai/json_text.h"
#include "openai/skim.h"
#include "openai/usage_reader.h"

namespace sluice::openai {

std::optional<Usage> find_usage(const Endpoint& endpoint, std::string_view body) noexcept {
  std::optional<Usage> usage = read_usage(skim_find(body, "usage"));
  if (usage && endpoint.dialect == Dialect::kEmbedding) usage->completion_tokens = usage->reasoning_tokens = 0;
  return usage;
}

std::string_view find_model(std::string_view body, std::span<char> into) noexcept {
  const std::string_view value = skim_find(body, "model");
  if (!is_string(value)) return {};
  return unescape(unquoted(value), into);
}

}  // namespace sluice::openai
