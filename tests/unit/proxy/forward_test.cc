// Which headers of a client go on to an upstream.
#include "proxy/forward.h"

#include <gtest/gtest.h>

#include <boost/beast/http/field.hpp>

#include "config/settings.h"

namespace sluice::proxy {
namespace {

using Way = ForwardRules::Way;

ForwardRules defaults() {
  const config::Route route;
  return {route.forward_headers, route.scoped_headers};
}

http::Fields fields_of(std::initializer_list<std::pair<std::string_view, std::string_view>> lines) {
  http::Fields fields;
  for (const auto& [name, value] : lines) fields.add({boost::beast::http::string_to_field(name), name, value});
  return fields;
}

std::string text_of(const ReplyHeaders& headers) {
  std::string text;
  for (const http::Header& header : headers.span())
    text += std::string(header.name) + ": " + std::string(header.value) + "\n";
  return text;
}

TEST(Forward, PassesScopesOrDropsByName) {
  const ForwardRules rules = defaults();
  for (const char* name : {"OpenAI-Beta", "openai-beta", "anthropic-version", "Anthropic-Beta"})
    EXPECT_EQ(rules.way_of(name), Way::kPass) << name;
  for (const char* name : {"Idempotency-Key", "session-id", "Session_ID", "x-session-affinity", "X-Session-Id"})
    EXPECT_EQ(rules.way_of(name), Way::kScope) << name;
  for (const char* name :
       {"", "openai-bet", "openai-beta-2", "anthropic", "x-stainless-os", "user-agent", "x-client-request-id"})
    EXPECT_EQ(rules.way_of(name), Way::kDrop) << name;
}

TEST(Forward, C33NoPatternPassesWhoTheClientIs) {
  const ForwardRules rules({"openai-*", "x-*", "c*", "a*", "proxy-*", "t*", "i*"}, {});
  for (const char* name :
       {"OpenAI-Organization", "openai-project", "X-Api-Key", "x-goog-api-key", "x-request-id", "Cookie",
        "X-Forwarded-For", "Authorization", "x-openai-authorization", "connection", "content-length",
        "proxy-authorization", "transfer-encoding", "traceparent", "anthropic-organization-id"})
    EXPECT_EQ(rules.way_of(name), Way::kDrop) << name;
  EXPECT_EQ(rules.way_of("x-custom"), Way::kPass);
  EXPECT_EQ(rules.way_of("Idempotency-Key"), Way::kScope) << "never as it is";
}

TEST(Forward, NamesLeaveInLowerCaseAndScopedValuesAsTheirHash) {
  const identity::ScopeKey scope;
  const http::Fields fields = fields_of(
      {{"OpenAI-Beta", "a=b"}, {"Idempotency-Key", "1"}, {"Session-Id", "1"}, {"x-session-id", ""}, {"Cookie", "c"}});
  ReplyHeaders headers;
  policy::Caller caller;
  caller.tenant_id = 1;
  caller.user_id = 2;
  forward_headers(defaults(), fields, caller, scope, headers);
  std::array<char, identity::ScopeKey::kDigits> digits;
  const std::string one(scope.scoped(1, 2, "1", digits));
  EXPECT_EQ(text_of(headers), "openai-beta: a=b\nidempotency-key: " + one + "\nsession-id: " + one + "\n");
}

TEST(Forward, WhatTheClientBindsToItsConnectionEndsHere) {
  ReplyHeaders headers;
  forward_headers(defaults(),
                  fields_of({{"Connection", "close, OpenAI-Beta"}, {"OpenAI-Beta", "a"}, {"anthropic-beta", "b"}}), {},
                  identity::ScopeKey(), headers);
  EXPECT_EQ(text_of(headers), "anthropic-beta: b\n");
}

TEST(Forward, IsBounded) {
  http::Fields fields;
  for (int i = 0; i < 100; ++i) fields.add({http::Field::unknown, "anthropic-beta", "b"});
  ReplyHeaders headers;
  EXPECT_EQ(forward_headers(defaults(), fields, {}, identity::ScopeKey(), headers), Forwarded::kSome);
  EXPECT_EQ(headers.span().size(), kMostForwarded);
}

}  // namespace
}  // namespace sluice::proxy
