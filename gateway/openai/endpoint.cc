#include "openai/endpoint.h"

#include <algorithm>
#include <array>

namespace sluice::openai {
namespace {

using dialect::Agents;
using dialect::BodyKind;
using dialect::Work;

constexpr std::uint8_t mark(Api api) noexcept { return static_cast<std::uint8_t>(api); }

// In the order of EndpointId.
constexpr auto kEndpoints = std::to_array<Endpoint>({
    {"chat.completions", "POST", "/v1/chat/completions", BodyKind::kJson, Work::kGenerate, Agents::kEvery, true,
     mark(Api::kChat)},
    {"completions", "POST", "/v1/completions", BodyKind::kJson, Work::kGenerate, Agents::kEvery, true,
     mark(Api::kCompletion)},
    {"embeddings", "POST", "/v1/embeddings", BodyKind::kJson, Work::kEmbed, Agents::kEvery, false,
     mark(Api::kEmbedding)},
    {"responses", "POST", "/v1/responses", BodyKind::kJson, Work::kGenerate, Agents::kEvery, false,
     mark(Api::kResponse), "", true},
    {"responses.retrieve", "GET", "/v1/responses/", BodyKind::kNone, Work::kStored, Agents::kWhoSaysSo, false,
     mark(Api::kStored)},
    {"responses.delete", "DELETE", "/v1/responses/", BodyKind::kNone, Work::kStored, Agents::kWhoSaysSo, false,
     mark(Api::kStored)},
    {"responses.input_items", "GET", "/v1/responses/", BodyKind::kNone, Work::kStored, Agents::kWhoSaysSo, false,
     mark(Api::kStored), "/input_items"},
    {"responses.cancel", "POST", "/v1/responses/", BodyKind::kNone, Work::kStored, Agents::kWhoSaysSo, false,
     mark(Api::kStored), "/cancel"},
    {"models", "GET", "/v1/models", BodyKind::kNone, Work::kListModels, Agents::kEvery, false, mark(Api::kNone)},
    {"model", "GET", "/v1/models/", BodyKind::kNone, Work::kShowModel, Agents::kNone, false, mark(Api::kNone)},
    {"moderations", "POST", "/v1/moderations", BodyKind::kJson, Work::kEmbed, Agents::kWhoSaysSo, false,
     mark(Api::kModeration)},
    {"rerank", "POST", "/v1/rerank", BodyKind::kJson, Work::kEmbed, Agents::kWhoSaysSo, false, mark(Api::kRank)},
    {"score", "POST", "/v1/score", BodyKind::kJson, Work::kEmbed, Agents::kWhoSaysSo, false, mark(Api::kRank)},
    {"audio.speech", "POST", "/v1/audio/speech", BodyKind::kJson, Work::kMake, Agents::kWhoSaysSo, false,
     mark(Api::kSpeech)},
    {"audio.transcriptions", "POST", "/v1/audio/transcriptions", BodyKind::kMultipart, Work::kMake, Agents::kWhoSaysSo,
     false, mark(Api::kTranscription)},
    {"audio.translations", "POST", "/v1/audio/translations", BodyKind::kMultipart, Work::kMake, Agents::kWhoSaysSo,
     false, mark(Api::kTranscription)},
    {"images.generations", "POST", "/v1/images/generations", BodyKind::kJson, Work::kMake, Agents::kWhoSaysSo, false,
     mark(Api::kImage)},
    {"images.edits", "POST", "/v1/images/edits", BodyKind::kMultipart, Work::kMake, Agents::kWhoSaysSo, false,
     mark(Api::kImage)},
    {"files.create", "POST", "/v1/files", BodyKind::kMultipart, Work::kUpload, Agents::kWhoSaysSo, false,
     mark(Api::kFile), "", true, Kept::kFile},
    {"files.list", "GET", "/v1/files", BodyKind::kNone, Work::kListStored, Agents::kNone, false, mark(Api::kNone), "",
     false, Kept::kFile},
    {"files.retrieve", "GET", "/v1/files/", BodyKind::kNone, Work::kStored, Agents::kWhoSaysSo, false,
     mark(Api::kStored), "", false, Kept::kFile},
    {"files.content", "GET", "/v1/files/", BodyKind::kNone, Work::kStored, Agents::kWhoSaysSo, false,
     mark(Api::kStored), "/content", false, Kept::kFile, true},
    {"files.delete", "DELETE", "/v1/files/", BodyKind::kNone, Work::kStored, Agents::kWhoSaysSo, false,
     mark(Api::kStored), "", false, Kept::kFile},
    {"batches.create", "POST", "/v1/batches", BodyKind::kJson, Work::kBatch, Agents::kWhoSaysSo, false,
     mark(Api::kBatch), "", true, Kept::kBatch},
    {"batches.retrieve", "GET", "/v1/batches/", BodyKind::kNone, Work::kStored, Agents::kWhoSaysSo, false,
     mark(Api::kBatch), "", false, Kept::kBatch},
    {"batches.cancel", "POST", "/v1/batches/", BodyKind::kNone, Work::kStored, Agents::kWhoSaysSo, false,
     mark(Api::kBatch), "/cancel", false, Kept::kBatch},
});

bool is_endpoint(std::string_view path) noexcept {
  return std::ranges::any_of(kEndpoints, [path](const Endpoint& endpoint) {
    return path == endpoint.path || dialect::match_path(endpoint, path).has_value();
  });
}

bool begins_with_v1(std::string_view path) noexcept { return path == "/v1" || path.starts_with("/v1/"); }

constexpr const char* kUnknownPath =
    "Unknown request URL. This gateway serves /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses, "
    "/v1/moderations, /v1/rerank, /v1/score, /v1/audio/…, /v1/images/…, /v1/files, /v1/batches and /v1/models; check "
    "base_url (it ends in /v1) and the path's spelling.";

// Paths that clients ask for and that are not served, by how they begin.
struct Unserved {
  std::string_view begins;
  const char* advice;
};
constexpr std::array<Unserved, 14> kUnserved{{
    {"/v1/responses/input_tokens",
     "Input tokens are not counted in advance by this gateway; the usage of an answer says how many there were."},
    {"/v1/responses/compact",
     "Compaction is not served by this gateway; send a summary, or the part of the conversation that fits, in "
     "'input'."},
    {"/v1/responses/",
     "Of a response this gateway serves GET and DELETE /v1/responses/ID, GET /v1/responses/ID/input_items and POST "
     "/v1/responses/ID/cancel; an ID holds letters, digits, '_', '-' and '=' alone."},
    {"/v1/chat/completions/", "Completions are not stored by this gateway, so none can be fetched."},
    {"/v1/conversations", "Conversations are not stored by this gateway; send the whole conversation in 'input'."},
    {"/v1/files/",
     "Of a file this gateway serves GET and DELETE /v1/files/ID and GET /v1/files/ID/content; an ID holds letters, "
     "digits, '_', '-' and '=' alone."},
    {"/v1/vector_stores", "Files are not stored by this gateway; search in your own program."},
    {"/v1/batches/",
     "Of a batch this gateway serves GET /v1/batches/ID and POST /v1/batches/ID/cancel; an ID holds letters, digits, "
     "'_', '-' and '=' alone."},
    {"/openai/deployments/",
     "Of Azure's paths this gateway serves /openai/deployments/MODEL/chat/completions, /completions, /embeddings, "
     "/audio/… and /images/…; check the path's spelling."},
    {"/openai/",
     "Of Azure's paths this gateway serves /openai/deployments/MODEL/…, /openai/models, /openai/responses and those "
     "below /openai/v1/; the endpoint of an Azure client is this gateway's address, without a path."},
    {"/api/chat", "Ollama's own API is not served by this gateway; choose the OpenAI API, whose base_url ends in /v1."},
    {"/api/generate",
     "Ollama's own API is not served by this gateway; choose the OpenAI API, whose base_url ends in "
     "/v1."},
    {"/api/tags", "Ollama's own API is not served by this gateway; GET /v1/models lists the models."},
    {"/v1/realtime", "Realtime sessions are not served by this gateway."},
}};

}  // namespace

const char* advice_for(std::string_view path) noexcept {
  if (path == "/" || path == "/v1" || path == "/v1/")
    return "This is the gateway's base URL and no path of its API; clients take it, ending in /v1, as base_url. GET "
           "/v1/models lists the models.";
  if (path.starts_with("/v1/v1/"))
    return "The path has /v1 twice: give the client a base_url with one, or with none if it adds /v1 itself.";
  if (path.find("//") != std::string_view::npos)
    return "The path has two slashes in a row; check how base_url ends (in /v1, with no slash behind it).";
  const std::string_view whole = path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
  if (whole.size() != path.size() && is_endpoint(whole))
    return "The path ends in a slash that does not belong there; remove it.";
  for (const Unserved& unserved : kUnserved) {
    if (path.starts_with(unserved.begins)) return unserved.advice;
  }
  std::array<char, 64> with_v1{'/', 'v', '1'};
  if (!begins_with_v1(path) && path.size() <= with_v1.size() - 3) {
    std::ranges::copy(path, with_v1.begin() + 3);
    if (is_endpoint({with_v1.data(), path.size() + 3}))
      return "The path lacks /v1: base_url must end in /v1, such as https://HOST:PORT/v1.";
  }
  return kUnknownPath;
}

std::span<const Endpoint> endpoints() noexcept { return kEndpoints; }

const Endpoint& endpoint_of(EndpointId id) noexcept { return kEndpoints[static_cast<std::size_t>(id)]; }

}  // namespace sluice::openai
