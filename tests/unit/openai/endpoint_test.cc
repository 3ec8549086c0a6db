#include "openai/endpoint.h"

#include <gtest/gtest.h>

#include <array>

#include "dialect/table.h"
#include "openai/openai.h"

namespace sluice::openai {
namespace {

const OpenAi kOpenAi;
const dialect::Table kTable{&kOpenAi};

dialect::Match find_endpoint(std::string_view path) { return kTable.find(path); }

TEST(FindEndpoint, KnowsItsPathsAndNothingElse) {
  EXPECT_EQ(find_endpoint("/v1/chat/completions").endpoint->name, "chat.completions");
  EXPECT_EQ(find_endpoint("/v1/completions").endpoint->name, "completions");
  EXPECT_EQ(find_endpoint("/v1/embeddings").endpoint->name, "embeddings");
  EXPECT_EQ(find_endpoint("/v1/responses").endpoint->name, "responses");
  EXPECT_EQ(find_endpoint("/v1/models").endpoint->name, "models");
  EXPECT_EQ(find_endpoint("/v1/models/org%2Fm:tag").rest, "org%2Fm:tag");
}

TEST(FindEndpoint, C35ForwardsNothingThatIsNotListed) {
  for (const char* path : {"/update_weights_from_disk", "/slots", "/models/load", "/api/pull", "/v1/../slots",
                           "/v1/%2e%2e/slots", "/v1/models/", "/v1/chat/completions/", "/v1/chat%2Fcompletions",
                           "/V1/models", "//v1/models", "/v1", "", "/"}) {
    EXPECT_EQ(find_endpoint(path).endpoint, nullptr) << path;
  }
}

TEST(FindEndpoint, C52SaysWhichMethodsAPathTakes) {
  const Endpoint& chat = endpoint_of(EndpointId::kChatCompletions);
  for (const EndpointId id : {EndpointId::kModels, EndpointId::kModel}) {
    EXPECT_TRUE(check_method(endpoint_of(id), "GET"));
    EXPECT_TRUE(check_method(endpoint_of(id), "HEAD"));
    EXPECT_EQ(check_method(endpoint_of(id), "POST").error().kind, ErrorKind::kMethodNotAllowed);
    EXPECT_EQ(allowed_methods(endpoint_of(id)), "GET, HEAD, OPTIONS");
  }
  EXPECT_TRUE(check_method(chat, "POST"));
  for (const char* method : {"GET", "HEAD", "DELETE", "post"})
    EXPECT_EQ(check_method(chat, method).error().kind, ErrorKind::kMethodNotAllowed) << method;
  EXPECT_EQ(allowed_methods(chat), "POST, OPTIONS");
}

TEST(FindEndpoint, SaysWhatIsWrongWithAPathThatIsNearlyRight) {
  const std::pair<const char*, const char*> cases[] = {
      {"/v1/v1/chat/completions", "/v1 twice"},
      {"/chat/completions", "lacks /v1"},
      {"/models", "lacks /v1"},
      {"/models/m", "lacks /v1"},
      {"/responses", "lacks /v1"},
      {"/v1/chat/completions/", "remove it"},
      {"/v1//models", "two slashes"},
      {"/", "base_url"},
      {"/v1", "base_url"},
      {"/v1/responses/resp_1", "not stored"},
      {"/v1/responses/input_tokens", "not counted in advance"},
      {"/v1/responses/compact", "Compaction"},
      {"/openai/deployments/x/chat/completions", "Azure"},
      {"/api/tags", "Ollama"},
      {"/v1/file", "Unknown request URL"},
      {"/slots", "Unknown request URL"},
  };
  for (const auto& [path, says] : cases)
    EXPECT_NE(std::string_view(find_endpoint(path).advice).find(says), std::string_view::npos) << path;
}

}  // namespace
}  // namespace sluice::openai
