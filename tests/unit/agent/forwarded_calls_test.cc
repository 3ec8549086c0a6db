#include "agent/forwarded_calls.h"

#include <gtest/gtest.h>

#include "openai/endpoint.h"

namespace sluice::agent {
namespace {

TEST(ForwardedCalls, AreThoseOfTheTableAndOfTheOwnerAndNoOthers) {
  const ForwardedCalls calls(openai::endpoints(), {"POST /v1/ocr", "GET /props"});
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/ocr"})
    EXPECT_TRUE(calls.allows("POST", path)) << path;
  EXPECT_TRUE(calls.allows("GET", "/v1/models"));
  EXPECT_TRUE(calls.allows("GET", "/props"));
  for (const char* path : {"/v1/models", "/props", "/v1/ocr/", "/v1/oc", "/v1/ocr?x=1", "", "POST /v1/ocr"})
    EXPECT_FALSE(calls.allows("POST", path)) << path;
  for (const char* path : {"/v1/models/", "/v1/models/m", "/v1/ocr", "/slots"})
    EXPECT_FALSE(calls.allows("GET", path)) << path;
}

TEST(ForwardedCalls, WhatIsStoredIsAskedForByItsIdAndAQueryGoesWithItAlone) {
  const ForwardedCalls calls(openai::endpoints(), {});
  for (const char* path : {"/v1/responses/resp_1", "/v1/responses/resp_1/input_items?limit=1&after=msg_2",
                           "/v1/responses/resp_1?include[]=a.b"})
    EXPECT_TRUE(calls.allows("GET", path)) << path;
  EXPECT_TRUE(calls.allows("DELETE", "/v1/responses/resp_1"));
  EXPECT_TRUE(calls.allows("POST", "/v1/responses/resp_1/cancel"));
  for (const char* path : {"/v1/responses/", "/v1/responses/..", "/v1/responses/a/b", "/v1/responses/a%2Fcancel",
                           "/v1/responses/a?x=<y>", "/v1/models?x=1", "/v1/responses/a/../b"})
    EXPECT_FALSE(calls.allows("GET", path)) << path;
  EXPECT_FALSE(calls.allows("POST", "/v1/responses/resp_1"));
  EXPECT_FALSE(calls.allows("DELETE", "/v1/responses/resp_1/cancel"));
}

TEST(ForwardedCalls, AGatewayIsToldWhichOfItsEndpointsAreKnownHere) {
  const ForwardedCalls calls(openai::endpoints(), {"POST /v1/ocr"});
  tunnel::Hello hello;
  tunnel::HelloAnswer answer;
  hello.endpoints = {"responses", "speech", "model"};
  calls.tell(hello, answer);
  EXPECT_EQ(*answer.endpoints, std::vector<std::string>{"responses"});
  EXPECT_EQ(answer.allowed, std::vector<std::string>{"POST /v1/ocr"});
}

TEST(ForwardedCalls, AGatewayThatNamesNoneHearsOfAll) {
  const ForwardedCalls calls(openai::endpoints(), {});
  tunnel::HelloAnswer answer;
  calls.tell({}, answer);
  std::vector<std::string> all;
  for (const dialect::Endpoint& endpoint : openai::endpoints())
    if (endpoint.agents != dialect::Agents::kNone) all.emplace_back(endpoint.name);
  EXPECT_EQ(*answer.endpoints, all);
}

TEST(ForwardedCalls, OnlyOneCallAtATimeCanBeAllowed) {
  for (const char* good : {"POST /v1/ocr", "GET /props", "POST /v1/audio/speech-2_x.y~z"})
    EXPECT_EQ(wrong_allowance(good), "") << good;
  for (const char* bad :
       {"", "/v1/ocr", "POST", "POST ", "POST v1", "post /v1", "DELETE /v1/x", "POST  /v1", "POST /a?b", "POST /a b",
        "POST /%2e", "POST /a/../b", "POST //a", "POST /*", "POST /.sluice/v1/renew"})
    EXPECT_NE(wrong_allowance(bad), "") << bad;
}

}  // namespace
}  // namespace sluice::agent
