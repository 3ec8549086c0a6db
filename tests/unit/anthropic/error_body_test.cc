#include "anthropic/error_body.h"

#include <gtest/gtest.h>

namespace sluice::anthropic {
namespace {

std::string body(std::string_view type, std::string_view message) {
  return R"({"type":"error","error":{"type":")" + std::string(type) + R"(","message":")" + std::string(message) +
         "\"}}";
}

TEST(ErrorAnswer, C54HasTheTypeOfItsStatus) {
  struct Case {
    ErrorKind kind;
    Origin origin;
    std::uint16_t status;
    const char* type;
  };
  const Case cases[] = {
      {ErrorKind::kBadRequest, Origin::kClient, 400, "invalid_request_error"},
      {ErrorKind::kNoKey, Origin::kClient, 401, "authentication_error"},
      {ErrorKind::kInvalidKey, Origin::kClient, 401, "authentication_error"},
      {ErrorKind::kForbidden, Origin::kClient, 403, "permission_error"},
      {ErrorKind::kNotFound, Origin::kClient, 404, "not_found_error"},
      {ErrorKind::kModelNotFound, Origin::kClient, 404, "not_found_error"},
      {ErrorKind::kMethodNotAllowed, Origin::kClient, 405, "invalid_request_error"},
      {ErrorKind::kTooLarge, Origin::kClient, 413, "request_too_large"},
      {ErrorKind::kUnsupportedEncoding, Origin::kClient, 415, "invalid_request_error"},
      {ErrorKind::kRateLimited, Origin::kSelf, 429, "rate_limit_error"},
      {ErrorKind::kQuotaExceeded, Origin::kSelf, 429, "rate_limit_error"},
      {ErrorKind::kInternal, Origin::kSelf, 500, "api_error"},
      {ErrorKind::kProtocol, Origin::kUpstream, 502, "api_error"},
      {ErrorKind::kUnavailable, Origin::kSelf, 503, "api_error"},
      {ErrorKind::kTimeout, Origin::kUpstream, 504, "timeout_error"},
      {ErrorKind::kTimeout, Origin::kClient, 408, "timeout_error"},
      {ErrorKind::kOverloaded, Origin::kSelf, 529, "overloaded_error"},
  };
  for (const Case& c : cases) {
    const ErrorAnswer answer = error_answer({c.kind, c.origin, Retry::kNo, 0, 0, "why"});
    EXPECT_EQ(answer.status, c.status);
    EXPECT_EQ(std::string_view(answer.body), body(c.type, "why"));
  }
}

TEST(ErrorAnswer, ASpentBudgetIsNotWorthARetry) {
  EXPECT_EQ(error_answer(self_error(ErrorKind::kQuotaExceeded, "")).should_retry, ErrorAnswer::ShouldRetry::kNo);
}

TEST(ErrorAnswer, TakesItsRequestsIdIn) {
  ErrorAnswer answer = error_answer(client_error(ErrorKind::kBadRequest, "why"));
  add_request_id(answer, "req_1");
  EXPECT_EQ(answer.body,
            R"({"type":"error","error":{"type":"invalid_request_error","message":"why"},"request_id":"req_1"})");
}

TEST(UpstreamAnswer, C8HasTheOneShapeWhateverTheServersIs) {
  struct Case {
    std::uint16_t status;
    const char* said;
    std::uint16_t client_status;
    std::string body;
  };
  const Case cases[] = {
      {400,
       R"({"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too large"},"request_id":"req_up"})",
       400, body("invalid_request_error", "max_tokens: too large")},
      {529, R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})", 529,
       body("overloaded_error", "Overloaded")},
      {498, "", 529, body("overloaded_error", "The model server is overloaded or loading. Try again soon.")},
      {504, R"({"type":"error","error":{"type":"timeout_error","message":"t"}})", 504, body("timeout_error", "t")},
      {501, R"({"error":{"code":501,"message":"not here","type":"not_supported_error"}})", 400,
       body("invalid_request_error", "not here")},
      {400, R"({"error":{"message":"bad","type":"BadRequestError","code":400}})", 400,
       body("invalid_request_error", "bad")},
      {404, R"({"type":"error","error":{"type":"not_found_error","message":"Not Found"}})", 404,
       body("not_found_error", "Not Found")},
      {404, R"({"error":{"message":"The model 'm' does not exist","type":"invalid_request_error"}})", 404,
       body("not_found_error", "The model 'm' does not exist")},
      {404, R"({"error":"model 'm' not found"})", 404, body("not_found_error", "model 'm' not found")},
      {404, R"({"error":{"message":"No endpoints found for vendor/m.","code":404}})", 404,
       body("not_found_error", "No endpoints found for vendor/m.")},
      {422, R"({"type":"error","error":{"type":"api_error","message":"no"}})", 422,
       body("invalid_request_error", "no")},
      {422, R"({"detail":[{"loc":["body","max_tokens"],"msg":"too small","type":"int"}]})", 422,
       body("invalid_request_error", "too small")},
      {501, R"({"type":"error","error":{"type":"api_error","message":"no"}})", 400,
       body("invalid_request_error", "no")},
      {503, R"({"type":"error","error":{"type":"overloaded_error","message":"full"}})", 503,
       body("overloaded_error", "full")},
      {500, R"({"error":{"message":"no","type":"invalid_request_error"}})", 500, body("api_error", "no")},
      {500, "<html>oops</html>", 500, body("api_error", "The model server failed.")},
      {413, R"({"type":"error","error":{"type":"request_too_large","message":"big"}})", 413,
       body("request_too_large", "big")},
      {401, R"({"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}})", 502,
       body("api_error", "The model server refused the gateway's credentials. Tell your administrator.")},
      {403, R"({"type":"error","error":{"type":"permission_error","message":"your key may not"}})", 502,
       body("api_error", "The model server refused the gateway's credentials. Tell your administrator.")},
      {403, R"({"type":"error","error":{"type":"permission_error","message":"flagged by moderation"}})", 403,
       body("permission_error", "flagged by moderation")},
      {400,
       R"({"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}})",
       502, body("api_error", "The model server refused the gateway's credentials. Tell your administrator.")},
      {400,
       R"({"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}})",
       400, body("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")},
      {500,
       R"({"error":{"message":"the request exceeds the available context size","type":"exceed_context_size_error"}})",
       400, body("invalid_request_error", "prompt is too long: the request exceeds the available context size")},
  };
  for (const Case& c : cases) {
    const ErrorAnswer answer = upstream_answer(c.status, c.said);
    EXPECT_EQ(answer.status, c.client_status) << c.said;
    EXPECT_EQ(std::string_view(answer.body), c.body);
  }
}

// In the words of FastAPI, of llama.cpp, of OpenAI's API, of a web server, and in none.
TEST(UpstreamAnswer, AServerWithoutThePathIsNotToldAsAnUnknownModel) {
  for (const char* said :
       {R"({"detail":"Not Found"})", R"({"error":{"code":404,"message":"File Not Found","type":"not_found_error"}})",
        R"({"error":{"message":"Not found","type":"invalid_request_error","param":null,"code":null}})",
        R"({"error":{"message":"no such path"}})", R"({"message":"Cannot POST /v1/messages"})", "404 page not found",
        ""}) {
    const ErrorAnswer answer = upstream_answer(404, said);
    EXPECT_EQ(answer.status, 400) << said;
    EXPECT_NE(answer.body.find("invalid_request_error"), WipedString::npos);
    EXPECT_NE(answer.body.find("/v1/chat/completions"), WipedString::npos) << answer.body;
  }
}

TEST(UpstreamAnswer, AnErrorUnderA200HasTheStatusThatItsTypeComesWith) {
  EXPECT_FALSE(error_in_answer(R"({"type":"message","error":null})"));
  const auto answer = error_in_answer(R"({"type":"error","error":{"type":"rate_limit_error","message":"slow"}})");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 429);
  EXPECT_EQ(std::string_view(error_event(*answer)), "event: error\ndata: " + body("rate_limit_error", "slow") + "\n\n");
}

}  // namespace
}  // namespace sluice::anthropic
