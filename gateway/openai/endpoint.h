// The endpoints of the OpenAI dialect that this gateway serves: one row each, and nothing else is forwarded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace sluice::openai {

enum class EndpointId : std::uint8_t { kChatCompletions, kCompletions, kEmbeddings, kResponses, kModels, kModel };

// How an answer counts and streams.
enum class Dialect : std::uint8_t { kChat, kCompletion, kEmbedding, kResponse, kNone };

struct Endpoint {
  EndpointId id;
  std::string_view name;    // "chat.completions": in audit records and metrics
  std::string_view method;  // "POST"
  std::string_view path;    // "/v1/chat/completions"; of kModel the prefix "/v1/models/"
  Dialect dialect;
  bool asks_for_usage;  // stream_options.include_usage exists here
};

struct Route {
  const Endpoint* endpoint = nullptr;
  std::string_view rest;  // of kModel: the id behind the prefix, still percent-encoded
};

[[nodiscard]] const Endpoint& endpoint_of(EndpointId id) noexcept;

// Exact, case-sensitive, no normalisation: "/v1/../x", "/v1/chat%2Fcompletions" and a trailing slash match nothing.
// Error kNotFound: its message says what is wrong with a path that is nearly one of ours.
[[nodiscard]] Result<Route> find_endpoint(std::string_view path) noexcept;

// Whether the endpoint takes `method`; HEAD where it takes GET. Error: kMethodNotAllowed.
[[nodiscard]] Status check_method(const Endpoint& endpoint, std::string_view method) noexcept;

// For the Allow field: "GET, HEAD, OPTIONS" or "POST, OPTIONS".
[[nodiscard]] std::string_view allowed_methods(const Endpoint& endpoint) noexcept;

}  // namespace sluice::openai
