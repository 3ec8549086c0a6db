#include "openai/endpoint.h"

#include <gtest/gtest.h>

#include <array>

namespace sluice::openai {
namespace {

TEST(FindEndpoint, KnowsItsPathsAndNothingElse) {
  EXPECT_EQ(find_endpoint("/v1/chat/completions")->endpoint->id, EndpointId::kChatCompletions);
  EXPECT_EQ(find_endpoint("/v1/completions")->endpoint->id, EndpointId::kCompletions);
  EXPECT_EQ(find_endpoint("/v1/embeddings")->endpoint->id, EndpointId::kEmbeddings);
  EXPECT_EQ(find_endpoint("/v1/responses")->endpoint->id, EndpointId::kResponses);
  EXPECT_EQ(find_endpoint("/v1/models")->endpoint->id, EndpointId::kModels);
  EXPECT_EQ(find_endpoint("/v1/models/org%2Fm:tag")->rest, "org%2Fm:tag");
}

TEST(FindEndpoint, C35ForwardsNothingThatIsNotListed) {
  for (const char* path : {"/update_weights_from_disk", "/slots", "/models/load", "/api/pull", "/v1/../slots",
                           "/v1/%2e%2e/slots", "/v1/models/", "/v1/chat/completions/", "/v1/chat%2Fcompletions",
                           "/V1/models", "//v1/models", "/v1", "", "/"}) {
    const Result<Route> route = find_endpoint(path);
    ASSERT_FALSE(route) << path;
    EXPECT_EQ(route.error().kind, ErrorKind::kNotFound) << path;
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
      {"/v1/messages", "Anthropic"},
      {"/v1/responses/resp_1", "not stored"},
      {"/openai/deployments/x/chat/completions", "Azure"},
      {"/api/tags", "Ollama"},
      {"/v1/file", "Unknown request URL"},
      {"/slots", "Unknown request URL"},
  };
  for (const auto& [path, says] : cases)
    EXPECT_NE(std::string_view(find_endpoint(path).error().what).find(says), std::string_view::npos) << path;
}

}  // namespace
}  // namespace sluice::openai
