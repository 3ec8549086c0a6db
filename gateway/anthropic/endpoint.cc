#include "anthropic/endpoint.h"

#include <algorithm>
#include <array>

namespace sluice::anthropic {
namespace {

using dialect::Agents;
using dialect::BodyKind;
using dialect::Work;

// In the order of Api.
constexpr std::array<Endpoint, 2> kEndpoints{{
    {.name = "messages",
     .method = "POST",
     .path = "/v1/messages",
     .body = BodyKind::kJson,
     .work = Work::kGenerate,
     .agents = Agents::kWhoSaysSo,
     .own = static_cast<std::uint8_t>(Api::kMessages),
     .servers_are_asked = true},
    {.name = "messages.count_tokens",
     .method = "POST",
     .path = "/v1/messages/count_tokens",
     .body = BodyKind::kJson,
     .work = Work::kCount,
     .agents = Agents::kWhoSaysSo,
     .own = static_cast<std::uint8_t>(Api::kCountTokens),
     .servers_are_asked = true},
}};

// Paths that clients of this API ask for and that are not served, by how they begin; what comes first counts.
struct Unserved {
  std::string_view begins;
  const char* advice;
};
constexpr std::array<Unserved, 6> kUnserved{{
    {"/v1/messages/batches",
     "Message batches are not served by this gateway; send the calls to /v1/messages one by one."},
    {"/v1/messages/",
     "Unknown request URL. Of Anthropic's API this gateway serves POST /v1/messages and POST "
     "/v1/messages/count_tokens; "
     "check the path's spelling."},
    {"/v1/v1/messages",
     "The path has /v1 twice: clients of Anthropic's API add it themselves, so their base URL is this gateway's "
     "address "
     "without it."},
    {"/messages", "The path lacks /v1: clients of Anthropic's API send POST /v1/messages."},
    {"/v1/complete", "Text completions are not served by this gateway; send POST /v1/messages."},
    {"/v1/organizations/", "Anthropic's admin API is not served by this gateway."},
}};
// Paths that other APIs have, too: what their names mean in this one.
constexpr std::array<Unserved, 4> kToClients{{
    {"/v1/files", "Files are not stored by this gateway; send their content in the request."},
    {"/v1/skills", "Skills are not stored by this gateway; send what they say in the request."},
    {"/v1/v1/",
     "The path has /v1 twice: clients of Anthropic's API add it themselves, so their base URL is this gateway's "
     "address without it."},
    {"/models", "The path lacks /v1: clients of Anthropic's API send GET /v1/models."},
}};

}  // namespace

std::span<const Endpoint> endpoints() noexcept { return kEndpoints; }

const Endpoint& endpoint_of(Api api) noexcept { return kEndpoints[static_cast<std::size_t>(api)]; }

const char* advice_for(std::string_view path) noexcept {
  if (path == "/v1/completions" || path.starts_with("/v1/completions/")) return nullptr;  // begins as a path of ours
  const std::string_view whole = path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
  if (whole.size() != path.size() && std::ranges::find(kEndpoints, whole, &Endpoint::path) != kEndpoints.end())
    return "The path ends in a slash that does not belong there; remove it.";
  for (const Unserved& unserved : kUnserved) {
    if (path.starts_with(unserved.begins)) return unserved.advice;
  }
  return nullptr;
}

const char* advice_to_clients(std::string_view path) noexcept {
  if (const char* const advice = advice_for(path); advice != nullptr) return advice;
  if (path == "/" || path == "/v1" || path == "/v1/")
    return "This is the gateway's address and no path of its API; clients of Anthropic's API take it, without /v1, as "
           "their base URL. GET /v1/models lists the models.";
  if (path.find("//") != std::string_view::npos)
    return "The path has two slashes in a row; check how the base URL ends (without /v1, with no slash behind it).";
  for (const Unserved& unserved : kToClients) {
    if (path.starts_with(unserved.begins)) return unserved.advice;
  }
  return "Unknown request URL. Of Anthropic's API this gateway serves POST /v1/messages, POST "
         "/v1/messages/count_tokens and GET /v1/models; check the base URL (it has no /v1 at its end) and the path's "
         "spelling.";
}

}  // namespace sluice::anthropic
