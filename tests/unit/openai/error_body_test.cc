#include "openai/error_body.h"

#include <gtest/gtest.h>
#include <simdjson.h>

namespace sluice::openai {
namespace {

using ShouldRetry = ErrorAnswer::ShouldRetry;

TEST(ErrorAnswer, GivesTheStatusAndCodeThatSdksKnow) {
  struct Case {
    ErrorKind kind;
    std::uint16_t status;
    const char* type_and_code;
  };
  const Case cases[] = {
      {ErrorKind::kBadRequest, 400, R"("type":"invalid_request_error","param":null,"code":null)"},
      {ErrorKind::kNoKey, 401, R"("type":"invalid_request_error","param":null,"code":null)"},
      {ErrorKind::kInvalidKey, 401, R"("type":"invalid_request_error","param":null,"code":"invalid_api_key")"},
      {ErrorKind::kModelNotFound, 404, R"("type":"invalid_request_error","param":null,"code":"model_not_found")"},
      {ErrorKind::kContextLength, 400,
       R"("type":"invalid_request_error","param":"messages","code":"context_length_exceeded")"},
      {ErrorKind::kRateLimited, 429, R"("type":"requests","param":null,"code":"rate_limit_exceeded")"},
      {ErrorKind::kQuotaExceeded, 429, R"("type":"insufficient_quota","param":null,"code":"insufficient_quota")"},
      {ErrorKind::kOverloaded, 503, R"("type":"service_unavailable_error","param":null,"code":"server_is_overloaded")"},
      {ErrorKind::kInternal, 500, R"("type":"server_error","param":null,"code":null)"},
  };
  for (const Case& c : cases) {
    const ErrorAnswer answer = error_answer(client_error(c.kind, "words"));
    EXPECT_EQ(answer.status, c.status);
    EXPECT_EQ(std::string_view(answer.body), std::string(R"({"error":{"message":"words",)") + c.type_and_code + "}}");
  }
}

TEST(ErrorAnswer, C14FaultsOfClientsAreNeverRetried) {
  for (const ErrorKind kind :
       {ErrorKind::kBadRequest, ErrorKind::kNotFound, ErrorKind::kMethodNotAllowed, ErrorKind::kTooLarge,
        ErrorKind::kUnsupportedEncoding, ErrorKind::kHeadTooLarge, ErrorKind::kForbidden, ErrorKind::kProtocol}) {
    const std::uint16_t status = error_answer(client_error(kind, "")).status;
    EXPECT_GE(status, 400);
    EXPECT_LT(status, 500);
    EXPECT_NE(status, 408);
    EXPECT_NE(status, 409);
    EXPECT_NE(status, 429);
  }
}

TEST(ErrorAnswer, EveryKindHasWords) {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::kInternal); ++kind) {
    for (const Origin origin : {Origin::kClient, Origin::kUpstream, Origin::kSelf}) {
      const ErrorAnswer answer = error_answer({static_cast<ErrorKind>(kind), origin, Retry::kNo, 0, 0, ""});
      EXPECT_GE(answer.status, 400);
      EXPECT_EQ(answer.body.find(R"("message":"")"), std::string::npos) << kind;
    }
  }
}

TEST(ErrorAnswer, C10ASpentBudgetIsNotRetried) {
  EXPECT_EQ(error_answer(client_error(ErrorKind::kQuotaExceeded, "")).should_retry, ShouldRetry::kNo);
  EXPECT_EQ(error_answer(client_error(ErrorKind::kRateLimited, "")).should_retry, ShouldRetry::kUnsaid);
}

TEST(ErrorAnswer, WhatRanOutIsNamed) {
  const auto type_of = [](ErrorKind kind, RefusalKind why) {
    const WipedString body = error_answer(client_error(kind, "words"), {}, why).body;
    const std::size_t begin = body.find("\"type\":\"") + 8;
    return std::string(body.substr(begin, body.find('"', begin) - begin));
  };
  EXPECT_EQ(type_of(ErrorKind::kRateLimited, RefusalKind::kRequests), "requests");
  EXPECT_EQ(type_of(ErrorKind::kRateLimited, RefusalKind::kConcurrency), "requests");
  EXPECT_EQ(type_of(ErrorKind::kRateLimited, RefusalKind::kTokens), "tokens");
  EXPECT_EQ(type_of(ErrorKind::kRateLimited, RefusalKind::kReserved), "tokens");
  EXPECT_EQ(type_of(ErrorKind::kRateLimited, RefusalKind::kTooLarge), "tokens");
  EXPECT_EQ(type_of(ErrorKind::kQuotaExceeded, RefusalKind::kSpent), "insufficient_quota");
}

TEST(ErrorAnswer, EscapesWhatItIsTold) {
  EXPECT_EQ(error_answer(client_error(ErrorKind::kModelNotFound, "x"), "a\"\\\n\x01\xFF", RefusalKind::kTokens).body,
            "{\"error\":{\"message\":\"a\\\"\\\\\\n\\u0001\xEF\xBF\xBD\",\"type\":\"tokens\",\"param\":null,\"code\":"
            "\"model_not_found\"}}");
}

TEST(ErrorAnswer, KeepsTheStatusOfAnUpstreamsError) {
  Error error = upstream_error(ErrorKind::kUpstream, "");
  error.http_status = 503;
  EXPECT_EQ(error_answer(error).status, 503);
  error.http_status = 401;
  EXPECT_EQ(error_answer(error).status, 502);
}

TEST(UpstreamAnswer, C8C48C49EveryFormLeavesNested) {
  struct Case {
    std::uint16_t status;
    const char* body;
    std::uint16_t client_status;
    const char* client_body;  // empty: any
  };
  const Case cases[] = {
      {400, R"({"error":{"message":"m","type":"t","param":"p","code":"c"}})", 400,
       R"({"error":{"message":"m","type":"t","param":"p","code":"c"}})"},
      {400, R"({"object":"error","message":"m","type":"BadRequestError","param":null,"code":400})", 400,
       R"({"error":{"message":"m","type":"BadRequestError","param":null,"code":"400"}})"},
      {500, R"({"error":"boom"})", 500,
       R"({"error":{"message":"boom","type":"server_error","param":null,"code":null}})"},
      {422, R"({"detail":[{"loc":["body"],"msg":"Field required"}]})", 422,
       R"({"error":{"message":"Field required","type":"invalid_request_error","param":null,"code":null}})"},
      {404, R"({"detail":"Not Found"})", 404,
       R"({"error":{"message":"Not Found","type":"invalid_request_error","param":null,"code":null}})"},
      {503, R"({"error":{"code":503,"message":"Loading model","type":"unavailable_error"}})", 503,
       R"({"error":{"message":"Loading model","type":"unavailable_error","param":null,"code":"503"}})"},
      {502, "<html><body>Bad Gateway</body></html>", 502,
       R"({"error":{"message":"The model server failed.","type":"server_error","param":null,"code":"upstream_error"}})"},
      {500, "", 500,
       R"({"error":{"message":"The model server failed.","type":"server_error","param":null,"code":"upstream_error"}})"},
      {503, "", 503, ""},
      {429, "", 429,
       R"({"error":{"message":"The model server is at its rate limit. Try again later.","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}})"},
      {429, R"({"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}})", 502, ""},
      {400,
       R"({"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_ctx":512}})",
       400,
       R"({"error":{"message":"the request exceeds the available context size","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}})"},
      {400,
       R"({"object":"error","message":"This model's maximum context length is 512 tokens.","type":"BadRequestError","param":null,"code":400})",
       400,
       R"({"error":{"message":"This model's maximum context length is 512 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}})"},
      {400, R"([{"error":{"message":"m","code":400,"status":"INVALID_ARGUMENT"}}])", 400,
       R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":"400"}})"},
      {400, R"( ["first","second"])", 400,
       R"({"error":{"message":"first","type":"invalid_request_error","param":null,"code":null}})"},
      {400, R"("words")", 400,
       R"({"error":{"message":"words","type":"invalid_request_error","param":null,"code":null}})"},
      {422, R"({"detail":[{"type":"extra_forbidden","loc":["body","top_kk"],"msg":"Extra inputs are not permitted"}]})",
       422,
       R"({"error":{"message":"Extra inputs are not permitted","type":"invalid_request_error","param":"top_kk","code":"extra_forbidden"}})"},
      {422,
       R"({"object":"error","message":{"detail":[{"type":"missing","loc":["body","m"],"msg":"Field required"}]},"type":"t"})",
       422, R"({"error":{"message":"Field required","type":"t","param":"m","code":"missing"}})"},
      {400, R"({"msg":"m"})", 400,
       R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}})"},
      {400, R"({"errors":["m"]})", 400,
       R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}})"},
      {400, R"({"errors":[{"message":"m","code":7003}],"success":false})", 400,
       R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":"7003"}})"},
      {400, R"({"type":"https://errors","title":"Bad","status":400,"errors":{"top_p":["must be at most 1"]}})", 400,
       R"({"error":{"message":"must be at most 1","type":"https://errors","param":"top_p","code":null}})"},
      {400, R"({"title":"Bad","detail":"m"})", 400,
       R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}})"},
      {400, R"({"error":"invalid_request","error_description":"m"})", 400,
       R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}})"},
      {400, R"({"statusCode":400,"message":["first","second"],"error":"Bad Request"})", 400,
       R"({"error":{"message":"first","type":"invalid_request_error","param":null,"code":null}})"},
      {429, R"({"type":"error","error":{"type":"rate_limit_error","message":"m"}})", 429,
       R"({"error":{"message":"m","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}})"},
      {401, R"({"error":"Incorrect key sk-operator"})", 502, ""},
      {402, R"({"error":{"message":"Add credits for sk-operator"}})", 502, ""},
      {403, R"({"error":{"message":"Your input was flagged","code":403,"metadata":{"reasons":["violence"]}}})", 403,
       R"({"error":{"message":"Your input was flagged","type":"invalid_request_error","param":null,"code":"403"}})"},
      {403, R"({"error":{"message":"no","code":"content_policy_violation"}})", 403, ""},
      {403, "<html>Forbidden</html>", 502, ""},
      {451, R"({"error":{"message":"m"}})", 451,
       R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}})"},
      {498, R"({"error":{"message":"flex tier capacity exceeded"}})", 503,
       R"({"error":{"message":"flex tier capacity exceeded","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}})"},
      {400, R"({"error":{"error":{"error":{"error":{"error":{"error":{"error":"too deep"}}}}}}})", 400, ""},
      {403, R"({"error":"Incorrect key sk-operator"})", 502, ""},
      {501, R"({"error":{"code":501,"message":"no embeddings here","type":"not_supported_error"}})", 400,
       R"({"error":{"message":"no embeddings here","type":"not_supported_error","param":null,"code":null}})"},
      {501, "", 400,
       R"({"error":{"message":"The model server does not support this request.","type":"invalid_request_error","param":null,"code":null}})"},
      {408, "", 504, ""},
      {409, "", 502, ""},
      {307, "", 502, ""},
      {400, R"({"error":)", 400, ""},
      {400, "[]", 400, ""},
      {400, R"({"error":{"message":{"a":1},"type":[],"code":{}}})", 400, ""},
  };
  for (const Case& c : cases) {
    const ErrorAnswer answer = upstream_answer(c.status, "application/json", c.body);
    EXPECT_EQ(answer.status, c.client_status) << c.body;
    if (*c.client_body != '\0') {
      EXPECT_EQ(answer.body, c.client_body);
    }
    EXPECT_EQ(answer.body.find("sk-operator"), std::string::npos);
    simdjson::dom::parser parser;
    simdjson::dom::object error;
    ASSERT_EQ(parser.parse(answer.body.data(), answer.body.size())["error"].get(error), simdjson::SUCCESS)
        << answer.body;
    EXPECT_EQ(error.size(), 4u);
    EXPECT_TRUE(error["message"].is_string());
    EXPECT_TRUE(error["type"].is_string());
    EXPECT_TRUE(error["code"].is_string() || error["code"].is_null());
  }
}

TEST(UpstreamAnswer, C49ARefusedCredentialIsForTheOperator) {
  EXPECT_EQ(upstream_answer(401, "", "{}").fault, ErrorAnswer::Fault::kCredentials);
  EXPECT_EQ(upstream_answer(403, "", "{}").fault, ErrorAnswer::Fault::kCredentials);
  EXPECT_EQ(upstream_answer(403, "", R"({"error":"flagged by moderation"})").fault, ErrorAnswer::Fault::kOther);
  EXPECT_EQ(upstream_answer(400, "", "{}").fault, ErrorAnswer::Fault::kOther);
}

TEST(UpstreamAnswer, BoundsTheWordsItKeeps) {
  std::string words;
  for (int i = 0; i < 5000; ++i) words += "\xC3\xA9";
  const ErrorAnswer answer = upstream_answer(500, "application/json", R"({"error":")" + words + R"("})");
  EXPECT_LT(answer.body.size(), 4300u);
  EXPECT_TRUE(simdjson::validate_utf8(answer.body.data(), answer.body.size()));
}

TEST(ErrorInAnswer, FindsAnErrorUnderA2xxStatus) {
  EXPECT_FALSE(error_in_answer(R"({"choices":[],"error":null})"));
  EXPECT_FALSE(error_in_answer(R"({"choices":[{"message":{"content":"","error":{"a":1}}}]})"));
  EXPECT_FALSE(error_in_answer(""));
  EXPECT_EQ(error_in_answer(R"({"error":{"message":"m"}})")->status, 502);
  EXPECT_EQ(error_in_answer(R"({"error":"m"})")->status, 502);
  EXPECT_EQ(error_in_answer(R"({"object":"error","message":"m","code":404})")->status, 404);
}

TEST(ErrorEvent, IsOneEvent) {
  EXPECT_EQ(error_event({.status = 500, .body = "{}", .should_retry = {}, .fault = {}}), "data: {}\n\n");
}

}  // namespace
}  // namespace sluice::openai
