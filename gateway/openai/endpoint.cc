#include "openai/endpoint.h"

#include <array>

namespace sluice::openai {
namespace {

constexpr std::array<Endpoint, 6> kEndpoints{{
    {EndpointId::kChatCompletions, "chat.completions", "POST", "/v1/chat/completions", Dialect::kChat, true},
    {EndpointId::kCompletions, "completions", "POST", "/v1/completions", Dialect::kCompletion, true},
    {EndpointId::kEmbeddings, "embeddings", "POST", "/v1/embeddings", Dialect::kEmbedding, false},
    {EndpointId::kResponses, "responses", "POST", "/v1/responses", Dialect::kResponse, false},
    {EndpointId::kModels, "models", "GET", "/v1/models", Dialect::kNone, false},
    {EndpointId::kModel, "model", "GET", "/v1/models/", Dialect::kNone, false},
}};

bool matches(const Endpoint& endpoint, std::string_view path) noexcept {
  if (endpoint.id != EndpointId::kModel) return path == endpoint.path;
  return path.size() > endpoint.path.size() && path.starts_with(endpoint.path);
}

}  // namespace

const Endpoint& endpoint_of(EndpointId id) noexcept { return kEndpoints[static_cast<std::size_t>(id)]; }

Result<Route> find_endpoint(std::string_view method, std::string_view path) noexcept {
  for (const Endpoint& endpoint : kEndpoints) {
    if (!matches(endpoint, path)) continue;
    if (method != endpoint.method) {
      return client_error(ErrorKind::kMethodNotAllowed, endpoint.method == "POST"
                                                            ? "This path takes POST requests only."
                                                            : "This path takes GET requests only.");
    }
    Route route{&endpoint, {}};
    if (endpoint.id == EndpointId::kModel) route.rest = path.substr(endpoint.path.size());
    return route;
  }
  return client_error(ErrorKind::kNotFound,
                      "Unknown request URL. This gateway serves /v1/chat/completions, /v1/completions, /v1/embeddings, "
                      "/v1/responses and /v1/models; check base_url (it ends in /v1) and the path's spelling.");
}

}  // namespace sluice::openai
