// The members of a request that are read or edited, and which endpoint reads which.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "openai/endpoint.h"

namespace sluice::openai {

// The members that some endpoint reads or edits.
enum class Name : std::uint8_t {
  kModel,
  kStream,
  kStreamOptions,
  kMaxCompletionTokens,
  kMaxTokens,
  kMaxOutputTokens,
  kPredict,
  kChoices,
  kBestOf,
  kMessages,
  kPrompt,
  kSuffix,
  kInput,
  kInstructions,
  kTools,
  kBackground,
  kCacheKey,
  kStore,
  kPreviousResponse,
  kQuery,
  kQueries,
  kDocuments,
  kItems,
  kText1,
  kText2,
  kVoice,
  kStreamFormat,
  kInputFile,
  kLineEndpoint,
  kCount,
};

inline constexpr std::size_t kNameCount = static_cast<std::size_t>(Name::kCount);

struct NameRow {
  std::string_view text;
  const char* twice;     // the error when it occurs twice
  const char* miscased;  // the error when it is spelt in another case
};

[[nodiscard]] const NameRow& row_of(Name name) noexcept;

[[nodiscard]] constexpr std::uint32_t bit(Name name) noexcept { return 1U << static_cast<unsigned>(name); }

// The bits of the members that calls of this API read.
[[nodiscard]] std::uint32_t members_of(Api api) noexcept;

}  // namespace sluice::openai
