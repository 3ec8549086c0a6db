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
