#include "openai/endpoint.h"

#include <gtest/gtest.h>

#include <array>

namespace sluice::openai {
namespace {

TEST(FindEndpoint, KnowsItsPathsAndNothingElse) {
  EXPECT_EQ(find_endpoint("POST", "/v1/chat/completions")->endpoint->id, EndpointId::kChatCompletions);
  EXPECT_EQ(find_endpoint("POST", "/v1/completions")->endpoint->id, EndpointId::kCompletions);
  EXPECT_EQ(find_endpoint("POST", "/v1/embeddings")->endpoint->id, EndpointId::kEmbeddings);
  EXPECT_EQ(find_endpoint("POST", "/v1/responses")->endpoint->id, EndpointId::kResponses);
  EXPECT_EQ(find_endpoint("GET", "/v1/models")->endpoint->id, EndpointId::kModels);
  EXPECT_EQ(find_endpoint("GET", "/v1/models/org%2Fm:tag")->rest, "org%2Fm:tag");
}

TEST(FindEndpoint, C35ForwardsNothingThatIsNotListed) {
  for (const char* path : {"/update_weights_from_disk", "/slots", "/models/load", "/api/pull", "/v1/../slots",
                           "/v1/%2e%2e/slots", "/v1/models/", "/v1/chat/completions/", "/v1/chat%2Fcompletions",
                           "/V1/models", "//v1/models", "/v1", "", "/"}) {
    const Result<Route> route = find_endpoint("POST", path);
    ASSERT_FALSE(route) << path;
    EXPECT_EQ(route.error().kind, ErrorKind::kNotFound) << path;
  }
}

TEST(FindEndpoint, SaysWhenTheMethodIsWrong) {
  EXPECT_EQ(find_endpoint("GET", "/v1/chat/completions").error().kind, ErrorKind::kMethodNotAllowed);
  EXPECT_EQ(find_endpoint("POST", "/v1/models").error().kind, ErrorKind::kMethodNotAllowed);
  EXPECT_EQ(find_endpoint("DELETE", "/v1/models/m").error().kind, ErrorKind::kMethodNotAllowed);
  EXPECT_EQ(find_endpoint("post", "/v1/responses").error().kind, ErrorKind::kMethodNotAllowed);
}

}  // namespace
}  // namespace sluice::openai
