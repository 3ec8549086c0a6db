#include "openai/members.h"

#include <array>

namespace sluice::openai {
namespace {

#define SLUICE_MEMBER(name)                                                                         \
  {                                                                                                 \
    name, "The member '" name "' occurs twice in the request body; give it once.",                  \
        "A member differs from '" name "' in case alone; names are case-sensitive, use '" name "'." \
  }
constexpr std::array<NameRow, kNameCount> kNames{{
    SLUICE_MEMBER("model"),
    SLUICE_MEMBER("stream"),
    SLUICE_MEMBER("stream_options"),
    SLUICE_MEMBER("max_completion_tokens"),
    SLUICE_MEMBER("max_tokens"),
    SLUICE_MEMBER("max_output_tokens"),
    SLUICE_MEMBER("n_predict"),
    SLUICE_MEMBER("n"),
    SLUICE_MEMBER("best_of"),
    SLUICE_MEMBER("messages"),
    SLUICE_MEMBER("prompt"),
    SLUICE_MEMBER("suffix"),
    SLUICE_MEMBER("input"),
    SLUICE_MEMBER("instructions"),
    SLUICE_MEMBER("tools"),
    SLUICE_MEMBER("background"),
    SLUICE_MEMBER("prompt_cache_key"),
    SLUICE_MEMBER("store"),
    SLUICE_MEMBER("previous_response_id"),
    SLUICE_MEMBER("query"),
    SLUICE_MEMBER("queries"),
    SLUICE_MEMBER("documents"),
    SLUICE_MEMBER("items"),
    SLUICE_MEMBER("text_1"),
    SLUICE_MEMBER("text_2"),
    SLUICE_MEMBER("voice"),
    SLUICE_MEMBER("stream_format"),
    SLUICE_MEMBER("input_file_id"),
    SLUICE_MEMBER("endpoint"),
}};
#undef SLUICE_MEMBER

template <class... Names>
constexpr std::uint32_t bits(Names... names) noexcept {
  return (bit(names) | ...);
}

}  // namespace

const NameRow& row_of(Name name) noexcept { return kNames[static_cast<std::size_t>(name)]; }

// What each API reads. n_predict is llama.cpp's own, which it prefers to max_tokens: a clamp that passed it by
// would bound nothing.
std::uint32_t members_of(Api api) noexcept {
  switch (api) {
    case Api::kChat:
      return bits(Name::kModel, Name::kStream, Name::kStreamOptions, Name::kMaxCompletionTokens, Name::kMaxTokens,
                  Name::kPredict, Name::kChoices, Name::kMessages, Name::kTools, Name::kCacheKey);
    case Api::kCompletion:
      return bits(Name::kModel, Name::kStream, Name::kStreamOptions, Name::kMaxTokens, Name::kPredict, Name::kChoices,
                  Name::kBestOf, Name::kPrompt, Name::kSuffix, Name::kCacheKey);
    case Api::kEmbedding:
    case Api::kModeration:
      return bits(Name::kModel, Name::kInput);
    case Api::kResponse:
      return bits(Name::kModel, Name::kStream, Name::kMaxOutputTokens, Name::kPredict, Name::kPrompt, Name::kInput,
                  Name::kInstructions, Name::kTools, Name::kBackground, Name::kCacheKey, Name::kStore,
                  Name::kPreviousResponse);
    case Api::kRank:
      return bits(Name::kModel, Name::kQuery, Name::kQueries, Name::kDocuments, Name::kItems, Name::kText1,
                  Name::kText2);
    case Api::kSpeech:
      return bits(Name::kModel, Name::kInput, Name::kInstructions, Name::kVoice, Name::kStreamFormat);
    case Api::kBatch:
      return bits(Name::kInputFile, Name::kLineEndpoint);
    case Api::kImage:
      return bits(Name::kModel, Name::kStream, Name::kChoices, Name::kPrompt);
    case Api::kTranscription:  // a form
    case Api::kFile:           // a form
    case Api::kStored:
    case Api::kNone:
      break;
  }
  return bit(Name::kModel);
}

}  // namespace sluice::openai
