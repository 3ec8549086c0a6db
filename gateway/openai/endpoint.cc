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

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
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

Result<std::string_view> percent_decode(std::string_view text, std::span<char> into) noexcept {
  std::size_t written = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return client_error(ErrorKind::kNotFound, "The path ends in an unfinished %XX escape.");
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return client_error(ErrorKind::kNotFound, "The path has a bad %XX escape.");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return client_error(ErrorKind::kNotFound, "The path holds a NUL byte.");
    if (written == into.size()) return client_error(ErrorKind::kNotFound, "The name in the path is too long.");
    into[written++] = c;
  }
  return std::string_view(into.data(), written);
}

}  // namespace sluice::openai
