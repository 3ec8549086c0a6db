#include "agent/server_endpoints.h"

#include <gtest/gtest.h>

namespace sluice::agent {
namespace {

TEST(ServerEndpoints, OnlyWordsOnTheCallItselfSayThatThereIsAnEndpoint) {
  for (const unsigned had : {400U, 422U}) EXPECT_TRUE(is_had(had, {})) << had;
  EXPECT_TRUE(is_had(500, R"({"error":{"code":500,"message":"'messages' is required","type":"server_error"}})"));
  for (const unsigned not_had : {200U, 204U, 301U, 401U, 403U, 404U, 405U, 429U, 500U, 501U, 502U, 503U})
    EXPECT_FALSE(is_had(not_had, R"({"error":"no"})")) << not_had;
}

TEST(ServerEndpoints, AServerIsAskedForThoseThatManyHaveNotAndTheOwnerDoesNotName) {
  const std::vector<dialect::Endpoint> table = {
      {.name = "a", .method = "POST", .path = "/v1/a"},
      {.name = "b", .method = "POST", .path = "/v1/b", .servers_are_asked = true},
      {.name = "c", .method = "POST", .path = "/v1/c", .servers_are_asked = true}};
  const std::vector<dialect::Endpoint> asked = asked_endpoints(table, {"POST /v1/b"});
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].name, "c");
}

}  // namespace
}  // namespace sluice::agent
