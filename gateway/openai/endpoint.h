// The endpoints of the OpenAI dialect that this gateway serves: one row each, and nothing else is forwarded.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dialect/endpoint.h"

namespace sluice::openai {

using dialect::Endpoint;

enum class EndpointId : std::uint8_t {
  kChatCompletions,
  kCompletions,
  kEmbeddings,
  kResponses,
  kResponse,
  kDeleteResponse,
  kInputItems,
  kCancelResponse,
  kModels,
  kModel,
  kModerations,
  kRerank,
  kScore,
  kSpeech,
  kTranscriptions,
  kTranslations,
  kImages,
  kImageEdits,
  kUploadFile,
  kFiles,
  kFile,
  kFileContent,
  kDeleteFile,
  kMakeBatch,
  kBatch,
  kCancelBatch,
};

// The API that an endpoint belongs to: how its calls are read and its answers count and stream.
enum class Api : std::uint8_t {
  kChat,
  kCompletion,
  kEmbedding,
  kResponse,
  kStored,  // what is kept of a response, whose answers are passed on whatever they hold
  kNone,
  kModeration,
  kRank,  // how well texts go with a question: rerank, score
  kSpeech,
  kTranscription,  // in the same language, or in English
  kImage,          // made, or changed
  kFile,           // given to be kept
  kBatch,          // calls that stand in such a file
};

[[nodiscard]] constexpr Api api_of(const Endpoint& endpoint) noexcept { return static_cast<Api>(endpoint.own); }

[[nodiscard]] std::span<const Endpoint> endpoints() noexcept;
[[nodiscard]] const Endpoint& endpoint_of(EndpointId id) noexcept;

// What is wrong with a path that is none of them; never null.
[[nodiscard]] const char* advice_for(std::string_view path) noexcept;

}  // namespace sluice::openai
