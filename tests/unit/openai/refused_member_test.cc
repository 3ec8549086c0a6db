#include "openai/refused_member.h"

#include <gtest/gtest.h>

#include "dialect/error_answer.h"

namespace sluice::openai {
namespace {

using enum AddedMember;

struct Row {
  AddedMember member;
  const char* body;
};

TEST(RefusedMember, C45TheWordsOfEveryServerForAMemberThatItDoesNotKnow) {
  const Row rows[] = {
      {kMaxCompletionTokens,
       R"({"error":{"message":"Unrecognized request argument supplied: max_completion_tokens","type":"invalid_request_error","param":null,"code":null}})"},
      {kMaxTokens,
       R"({"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}})"},
      {kMaxTokens,
       R"({"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."}})"},
      {kUsageInStream,
       R"({"error":{"message":"Unknown parameter: 'stream_options'.","type":"invalid_request_error","param":"stream_options","code":"unknown_parameter"}})"},
      {kMaxOutputTokens, R"({"detail":"Unsupported parameter: max_output_tokens"})"},
      {kMaxCompletionTokens,
       R"({"detail":[{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted","input":5}]})"},
      {kUsageInStream,
       R"({"detail":[{"type":"extra_forbidden","loc":["body","stream_options","include_usage"],"msg":"Extra inputs are not permitted"}]})"},
      {kMaxCompletionTokens,
       R"({"detail":[{"loc":["body","max_completion_tokens"],"msg":"extra fields not permitted","type":"value_error.extra"}]})"},
      {kMaxCompletionTokens,
       R"({"object":"error","message":"[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not permitted', 'input': 5}]","type":"BadRequestError","param":null,"code":400})"},
      {kUsageInStream,
       R"({"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{"include_usage":true}}]},"type":"invalid_request_error","param":null,"code":null})"},
      {kUsageInStream, R"({"error":"create_completion() got an unexpected keyword argument 'stream_options'"})"},
      {kUsageInStream,
       R"({"error":{"message":"json: unknown field \"stream_options\"","type":"invalid_request_error"}})"},
      {kMaxCompletionTokens,
       R"({"error":"Failed to deserialize the JSON body: unknown field `max_completion_tokens`, expected one of `model`, `messages`, `max_tokens`"})"},
      {kUsageInStream, R"({"error":{"issues":[],"message":"Unrecognized key(s) in object: 'stream_options'"}})"},
      {kMaxCompletionTokens,
       R"({"statusCode":400,"message":["property max_completion_tokens should not exist"],"error":"Bad Request"})"},
      {kUsageInStream, R"({"message":"body must NOT have additional properties: stream_options"})"},
      {kMaxCompletionTokens,
       R"([{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"max_completion_tokens\": Cannot find field.","status":"INVALID_ARGUMENT"}}])"},
      {kUsageInStream, R"({"error":{"message":"stream_options isn't supported by this model","code":"400"}})"},
      {kMaxCompletionTokens, R"({"error":{"message":"Invalid parameter: max_completion_tokens is not supported"}})"},
      {kMaxCompletionTokens, R"({"error":{"message":"Not a valid parameter: max_completion_tokens"}})"},
      {kMaxCompletionTokens, "Unknown field: max_completion_tokens"},
      {kMaxCompletionTokens, R"({"error":{"message":"Unknown parameter","param":"$.max_completion_tokens"}})"},
      {kMaxCompletionTokens, R"({"error":{"message":"Unknown parameter: max_completion_tokens","param":"None"}})"},
  };
  for (const Row& row : rows) EXPECT_TRUE(refuses_member(row.body, row.member)) << row.body;
}

TEST(RefusedMember, C45NothingElseIsTakenForOne) {
  const Row rows[] = {
      {kMaxTokens,
       R"({"error":{"message":"max_tokens is too large: 9000. This model supports at most 4096 completion tokens.","param":"max_tokens","code":"invalid_value"}})"},
      {kMaxTokens, R"({"error":{"message":"max_tokens must be less than 4096, more is not supported"}})"},
      {kMaxTokens,
       R"({"detail":[{"type":"less_than_equal","loc":["body","max_tokens"],"msg":"Input should be less than or equal to 4096"}]})"},
      {kMaxTokens,
       R"({"error":{"message":"Unsupported value: 'max_tokens' does not support 7 with this model.","param":"max_tokens","code":"unsupported_value"}})"},
      {kMaxTokens,
       R"({"error":{"message":"'max_tokens' or model output limit was not supported","param":"max_tokens"}})"},
      {kMaxCompletionTokens, R"({"error":{"message":"Unrecognized request argument supplied: foo","param":null}})"},
      {kMaxCompletionTokens,
       R"({"error":{"message":"Unknown parameter: 'foo'. Did you mean max_completion_tokens?","param":"foo"}})"},
      {kMaxCompletionTokens, R"({"error":{"message":"Unknown parameter: 'max_completion_tokens_x'"}})"},
      {kMaxCompletionTokens, R"({"error":"unknown field `foo`, expected one of `model`, `max_completion_tokens`"})"},
      {kMaxCompletionTokens,
       R"({"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."}})"},
      {kMaxCompletionTokens,
       R"({"detail":[{"type":"extra_forbidden","loc":["body","foo"],"msg":"Extra inputs are not permitted"},{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted"}]})"},
      {kUsageInStream, R"({"error":{"message":"The prompt is too long"}})"},
      {kUsageInStream, ""},
      {kUsageInStream, "<html>Bad Request</html>"},
  };
  for (const Row& row : rows) EXPECT_FALSE(refuses_member(row.body, row.member)) << row.body;
}

TEST(RefusedMember, OnlyARefusalOfTheRequestItselfIsOne) {
  for (const std::uint16_t status : {400, 404, 405, 415, 422}) EXPECT_TRUE(dialect::is_refusal(status)) << status;
  for (const std::uint16_t status : {200, 307, 401, 402, 403, 408, 409, 413, 429, 500, 501, 503})
    EXPECT_FALSE(dialect::is_refusal(status)) << status;
}

}  // namespace
}  // namespace sluice::openai
