#include "openai/endpoint.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

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
  EXPECT_EQ(find_endpoint("/v1/moderations").endpoint->name, "moderations");
  EXPECT_EQ(find_endpoint("/v1/rerank").endpoint->name, "rerank");
  EXPECT_EQ(find_endpoint("/v1/score").endpoint->name, "score");
  EXPECT_EQ(find_endpoint("/v1/models").endpoint->name, "models");
  EXPECT_EQ(find_endpoint("/v1/models/org%2Fm:tag").rest, "org%2Fm:tag");
}

struct Azure {
  const char* path;
  const char* endpoint;
  const char* model = "";
  const char* rest = "";
};

TEST(FindEndpoint, AzuresPathsStandForItsOwn) {
  const Azure cases[] = {
      {"/openai/deployments/gpt-4o/chat/completions", "chat.completions", "gpt-4o"},
      {"/openai/deployments/gpt-4o/completions", "completions", "gpt-4o"},
      {"/openai/deployments/org%2Fm:tag/embeddings", "embeddings", "org%2Fm:tag"},
      {"/openai/deployments/org/m:tag/chat/completions", "chat.completions", "org/m:tag"},
      {"/openai/v1/chat/completions", "chat.completions"},
      {"/openai/v1/responses", "responses"},
      {"/openai/v1/models/org%2Fm", "model", "", "org%2Fm"},
      {"/openai/responses", "responses"},
      {"/openai/models", "models"},
      {"/openai/models/m", "model", "", "m"},
  };
  for (const Azure& c : cases) {
    const std::string path = c.path;  // what the match shows of it stands in it
    const dialect::Match match = find_endpoint(path);
    ASSERT_NE(match.endpoint, nullptr) << path;
    EXPECT_EQ(match.endpoint->name, c.endpoint) << path;
    EXPECT_EQ(match.endpoint, &kTable.endpoints()[match.number]);
    EXPECT_EQ(match.model, c.model) << path;
    EXPECT_EQ(match.rest, c.rest) << path;
    for (const std::string_view part : {match.model, match.rest})
      EXPECT_TRUE(part.empty() || (part.data() >= path.data() && part.data() < path.data() + path.size()));
  }
}

TEST(FindEndpoint, C35OfAzuresPathsNothingElseIsTaken) {
  for (const char* path :
       {"/openai", "/openai/", "/openai/v1", "/openai/v1/", "/openaiv1/models", "/openai/v1/../models",
        "/openai/v2/models", "/openai/deployments//chat/completions/", "/openai/deployments/m/models",
        "/openai/openai/models", "/openai/v1/v1/models", "/openai/deployments/m/v1/chat/completions/x",
        "/openai/modelsx", "/OpenAI/models", "/openai/deployments/m/chat%2Fcompletions"})
    EXPECT_EQ(find_endpoint(path).endpoint, nullptr) << path;
  const std::string longest = "/openai/models/" + std::string(2000, 'm');
  EXPECT_EQ(find_endpoint(longest).endpoint, nullptr);
}

TEST(FindEndpoint, C35ForwardsNothingThatIsNotListed) {
  for (const char* path : {"/update_weights_from_disk", "/slots", "/models/load", "/api/pull", "/v1/../slots",
                           "/v1/%2e%2e/slots", "/v1/models/", "/v1/chat/completions/", "/v1/chat%2Fcompletions",
                           "/V1/models", "//v1/models", "/v1", "", "/"}) {
    EXPECT_EQ(find_endpoint(path).endpoint, nullptr) << path;
  }
}

TEST(FindEndpoint, C35AnIdIsBoundedAndLeadsNowhereElse) {
  const auto name_of = [](std::string_view path, std::string_view method) -> std::string {
    const dialect::Match match = kTable.find(path, method);
    return match.endpoint == nullptr ? "" : std::string(match.endpoint->name) + " " + std::string(match.rest);
  };
  EXPECT_EQ(name_of("/v1/responses/resp_1", "GET"), "responses.retrieve resp_1");
  EXPECT_EQ(name_of("/v1/responses/resp_1", "HEAD"), "responses.retrieve resp_1");
  EXPECT_EQ(name_of("/v1/responses/resp-1=", "DELETE"), "responses.delete resp-1=");
  EXPECT_EQ(name_of("/v1/responses/resp_1/input_items", "GET"), "responses.input_items resp_1");
  EXPECT_EQ(name_of("/v1/responses/resp_1/cancel", "POST"), "responses.cancel resp_1");
  EXPECT_EQ(name_of("/v1/responses/cancel", "GET"), "responses.retrieve cancel");
  EXPECT_NE(name_of("/v1/responses/" + std::string(256, 'a'), "GET"), "");
  EXPECT_EQ(name_of("/v1/responses/" + std::string(257, 'a'), "GET"), "");
  for (const char* path :
       {"/v1/responses/", "/v1/responses/..", "/v1/responses/.", "/v1/responses/a/", "/v1/responses/a/b",
        "/v1/responses//cancel", "/v1/responses/a%2Fcancel", "/v1/responses/%61", "/v1/responses/a/../b/cancel",
        "/v1/responses/a;b", "/v1/responses/a b", "/v1/responses/a/cancel/cancel", "/v1/responses/\xC3\xA4"})
    EXPECT_EQ(name_of(path, "GET"), "") << path;
}

TEST(FindEndpoint, C52SaysWhichMethodsAPathTakes) {
  const auto check = [](std::string_view path, std::string_view method) {
    return check_method(kTable.find(path, method).methods, method);
  };
  const auto allow = [](std::string_view path) { return allowed_methods(kTable.find(path, "PUT").methods); };
  for (const char* path : {"/v1/models", "/v1/models/m"}) {
    EXPECT_TRUE(check(path, "GET"));
    EXPECT_TRUE(check(path, "HEAD"));
    EXPECT_EQ(check(path, "POST").error().kind, ErrorKind::kMethodNotAllowed);
    EXPECT_EQ(allow(path), "GET, HEAD, OPTIONS");
  }
  EXPECT_TRUE(check("/v1/chat/completions", "POST"));
  for (const char* method : {"GET", "HEAD", "DELETE", "post"})
    EXPECT_EQ(check("/v1/chat/completions", method).error().kind, ErrorKind::kMethodNotAllowed) << method;
  EXPECT_EQ(allow("/v1/chat/completions"), "POST, OPTIONS");
  EXPECT_EQ(allow("/v1/responses/resp_1"), "GET, HEAD, DELETE, OPTIONS");
  EXPECT_EQ(check("/v1/responses/resp_1", "POST").error().kind, ErrorKind::kMethodNotAllowed);
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
      {"/v1/responses/resp_1/x", "input_items"},
      {"/v1/responses/input_tokens", "not counted in advance"},
      {"/v1/responses/compact", "Compaction"},
      {"/openai/deployments/x/chat", "Azure"},
      {"/openai/deployments/x/responses", "Azure"},
      {"/openai/deployments", "Azure"},
      {"/openai/chat/completions", "Azure"},
      {"/openai/v1/chat/completions/", "remove it"},
      {"/api/tags", "Ollama"},
      {"/v1/file", "Unknown request URL"},
      {"/slots", "Unknown request URL"},
  };
  for (const auto& [path, says] : cases)
    EXPECT_NE(std::string_view(find_endpoint(path).advice).find(says), std::string_view::npos) << path;
}

}  // namespace
}  // namespace sluice::openai
