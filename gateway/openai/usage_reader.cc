#include "openai/usage_reader.h"

#include <algorithm>

#include "openai/skim.h"

namespace sluice::openai {
namespace {

struct Counts {
  Usage usage;
  std::uint64_t total = 0;
  std::uint64_t cache_read = 0;     // Anthropic: beside input_tokens
  std::uint64_t cache_written = 0;  // Anthropic: beside input_tokens
};

void read_member(const SkimMember& member, Counts& into) noexcept {
  const std::string_view name = member.name;
  Usage& usage = into.usage;
  if (name == "prompt_tokens" || name == "input_tokens") {
    usage.prompt_tokens = skim_count(member.value);
  } else if (name == "completion_tokens" || name == "output_tokens") {
    usage.completion_tokens = skim_count(member.value);
  } else if (name == "total_tokens") {
    into.total = skim_count(member.value);
  } else if (name == "prompt_tokens_details" || name == "input_tokens_details" || name == "input_token_details") {
    usage.cached_tokens = skim_count(skim_find(member.value, "cached_tokens"));
  } else if (name == "completion_tokens_details" || name == "output_tokens_details") {
    usage.reasoning_tokens = std::max(usage.reasoning_tokens, skim_count(skim_find(member.value, "reasoning_tokens")));
  } else if (name == "reasoning_tokens") {  // SGLang
    usage.reasoning_tokens = std::max(usage.reasoning_tokens, skim_count(member.value));
  } else if (name == "cache_read_input_tokens") {
    into.cache_read = skim_count(member.value);
  } else if (name == "cache_creation_input_tokens") {
    into.cache_written = skim_count(member.value);
  }
}

}  // namespace

std::optional<Usage> read_usage(std::string_view object) noexcept {
  Skimmer skimmer(object);
  if (skimmer.open('{') != Skim::kMember) return std::nullopt;
  Counts counts;
  SkimMember member;
  Skim step = Skim::kMember;
  while ((step = skimmer.member(member)) == Skim::kMember) read_member(member, counts);
  if (step == Skim::kMalformed) return std::nullopt;
  Usage& usage = counts.usage;
  if (counts.cache_read + counts.cache_written != 0) {
    usage.prompt_tokens += counts.cache_read + counts.cache_written;
    usage.cached_tokens = counts.cache_read;
  }
  if (usage.total() == 0) return std::nullopt;
  // Some servers leave reasoning out of the completion and count it in the total alone.
  if (counts.total == usage.total() + usage.reasoning_tokens) usage.completion_tokens += usage.reasoning_tokens;
  usage.cached_tokens = std::min(usage.cached_tokens, usage.prompt_tokens);
  usage.reasoning_tokens = std::min(usage.reasoning_tokens, usage.completion_tokens);
  usage.source = UsageSource::kMeasured;
  return usage;
}

}  // namespace sluice::openai
