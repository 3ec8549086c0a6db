// The table of endpoints, and what is said of paths that are none.
#include "anthropic/endpoint.h"

#include <gtest/gtest.h>

#include <string_view>

namespace sluice::anthropic {
namespace {

TEST(Endpoints, StandInTheOrderOfTheirApis) {
  for (const Api api : {Api::kMessages, Api::kCountTokens}) EXPECT_EQ(api_of(endpoint_of(api)), api);
}

TEST(Endpoints, APathThatIsNoneIsAnsweredInThisDialectWhereItsClientsAskForIt) {
  for (const char* path : {"/v1/messages/", "/v1/messages/batches", "/v1/messages/batches/b_1/results",
                           "/v1/messages/x", "/messages", "/v1/v1/messages", "/v1/complete"})
    EXPECT_NE(advice_for(path), nullptr) << path;
  for (const char* path :
       {"/", "/v1/models", "/v1/completions", "/v1/completions/", "/v1/chat/completions/x", "/v1/files"})
    EXPECT_EQ(advice_for(path), nullptr) << path;
}

TEST(Endpoints, AKnownClientIsToldOfThisApiWhateverThePath) {
  const std::pair<const char*, const char*> cases[] = {
      {"/", "without /v1"},         {"/v1/files/f_1", "send their content"}, {"/v1//messages", "two slashes"},
      {"/nothing", "/v1/messages"}, {"/v1/responses", "/v1/messages"},       {"/v1/messages/batches", "one by one"},
  };
  for (const auto& [path, says] : cases) {
    EXPECT_NE(std::string_view(advice_to_clients(path)).find(says), std::string_view::npos) << path;
  }
}

}  // namespace
}  // namespace sluice::anthropic
