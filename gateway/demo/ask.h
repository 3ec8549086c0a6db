// What a request to the demo model asks for.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::demo {

enum class Kind : std::uint8_t { kChat, kCompletion, kEmbedding, kResponse };

struct Ask {
  Kind kind = Kind::kChat;
  std::string model;
  bool stream = false;
  bool include_usage = false;
  std::uint64_t choices = 1;  // n × prompts
  std::optional<std::uint64_t> cap;
  std::string tool;               // the function to call; empty: none
  std::string said;               // JSON to say in place of words: its arguments, or what a response format asks for
  std::uint64_t inputs = 1;       // of embeddings
  bool base64 = false;            // of embeddings
  std::uint64_t dimensions = 16;  // of embeddings
  std::uint64_t prompt_tokens = 1;
  std::uint64_t seed = 0;  // of the prompt alone: the same prompt gets the same text, streamed or not
};

// Nothing: the body is not a request that a model server would take; `wrong` says why (static text).
[[nodiscard]] std::optional<Ask> read_ask(simdjson::dom::parser& parser, Kind kind, std::string_view body,
                                          const char*& wrong);

}  // namespace sluice::demo
