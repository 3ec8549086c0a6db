#include "tunnel/control.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace sluice::tunnel {
namespace {

TEST(Control, HelloSurvivesTheWire) {
  const auto answer =
      decode_hello_answer(encode(HelloAnswer{"v", "b", 2, /*usage_in_stream=*/false, CapMember::kMaxTokens}));
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->usage_in_stream);
  EXPECT_EQ(answer->cap_member, CapMember::kMaxTokens);
  const auto older = decode_hello_answer(R"({"version":"v","cap_member":"x"})");
  ASSERT_TRUE(older);
  EXPECT_TRUE(older->usage_in_stream);
  EXPECT_EQ(older->cap_member, CapMember::kAuto);
  EXPECT_FALSE(older->endpoints) << "an agent of before says nothing of its endpoints";
  HelloAnswer takes{"v", "b"};
  takes.endpoints = {"chat.completions"};
  takes.allowed = {"POST /v1/ocr"};
  const auto read = decode_hello_answer(encode(takes));
  ASSERT_TRUE(read && read->endpoints);
  EXPECT_EQ(*read->endpoints, *takes.endpoints);
  EXPECT_EQ(read->allowed, takes.allowed);
  EXPECT_TRUE(decode_hello(R"({"gateway":"gw"})")->endpoints.empty()) << "a gateway of before names none";
  const auto hello = decode_hello(encode(Hello{"gw", "g1", 4, 3, 6}));
  ASSERT_TRUE(hello);
  EXPECT_FALSE(hello->may_serve);
  Hello bound;
  bound.may_serve = {"a", "b"};
  EXPECT_EQ(decode_hello(encode(bound))->may_serve, bound.may_serve);
  bound.may_serve->resize(10'000, std::string(200, 'x'));
  EXPECT_FALSE(decode_hello(encode(bound))->may_serve);
  EXPECT_EQ(hello->gateway, "gw");
  EXPECT_EQ(hello->generation, "g1");
  EXPECT_EQ(hello->workers, 4u);
  EXPECT_EQ(hello->worker, 3u);
  EXPECT_EQ(hello->tunnels_per_agent, 6u);
}

TEST(Control, HealthSurvivesTheWire) {
  Health health;
  health.sequence = 7;
  health.models = {{"m", ModelState::kReady, 4, 1, 1'700'000'000, 8'192}, {"n", ModelState::kUnavailable, 2, 0}};
  health.trouble = "connection refused";
  health.lacks = {"messages", "messages.count_tokens"};
  health.telemetry = {12, 1000, 2000, 3, {{"gpu", 50, 10, 20}}};
  const auto read = decode_health(encode(health));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sequence, 7u);
  EXPECT_EQ(read->models, health.models);
  EXPECT_EQ(read->trouble, health.trouble);
  EXPECT_EQ(read->lacks, health.lacks);
  EXPECT_TRUE(decode_health("{}")->lacks.empty()) << "an agent of before says nothing of it";
  EXPECT_EQ(read->telemetry, health.telemetry);
}

TEST(Control, WhatAnAgentSaysToPeopleIsOneLineOfBoundedText) {
  EXPECT_EQ(clean_text("a\x1b[31mb\nc\x7f", 100), "a [31mb c ");
  EXPECT_EQ(clean_text(std::string(1'000, 'x'), 10).size(), 10u);
  const auto read = decode_health("{\"trouble\":\"" + std::string(9'000, 'y') + "\\n\"}");
  ASSERT_TRUE(read);
  EXPECT_LE(read->trouble.size(), kTroubleBytes);
}

TEST(Control, AnyNameOfAModelPassesAsAHeader) {
  EXPECT_EQ(encode_name("org/m:tag"), "org/m:tag");
  const std::string odd = "a b\r\n%\xc3\xa4";
  EXPECT_EQ(encode_name(odd), "a%20b%0D%0A%25%C3%A4");
  EXPECT_EQ(percent_decode(encode_name(odd)), odd);
}

TEST(Control, ANameOfAModelThatIsTooLongIsLeftOutAndNotCutToAnother) {
  const std::string longest(256, 'm');
  Hello hello;
  hello.may_serve = {longest, longest + "x", "b"};
  EXPECT_EQ(decode_hello(encode(hello))->may_serve, (std::vector<std::string>{longest, "b"}));
  Health health;
  health.models = {{longest + "x"}, {longest}};
  const auto read = decode_health(encode(health));
  ASSERT_EQ(read->models.size(), 1u);
  EXPECT_EQ(read->models[0].name, longest);
}

TEST(Control, CertificatesAndScopesSurviveTheWire) {
  EXPECT_EQ(decode_csr(encode_csr("-----BEGIN\n")), "-----BEGIN\n");
  EXPECT_EQ(decode_certificate(encode_certificate("x\ny")), "x\ny");
  EXPECT_EQ(decode_drain(encode(DrainScope::kTunnel)), DrainScope::kTunnel);
  EXPECT_EQ(decode_drain(encode(DrainScope::kGateway)), DrainScope::kGateway);
}

TEST(Control, WhatIsNotAnObjectIsNothing) {
  for (const std::string_view text : {"", "[]", "7", "{", "{}x", "null", "<html>"}) {
    EXPECT_FALSE(decode_health(text)) << text;
    EXPECT_FALSE(decode_hello(text)) << text;
    EXPECT_FALSE(decode_csr(text)) << text;
  }
}

TEST(Control, WrongTypesAreDefaultsAndListsAreBounded) {
  const auto odd = decode_health(R"({"sequence":-1,"models":[7,{"name":1},{"name":"m","slots":"x"}],"gpus":{}})");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->sequence, 0u);
  ASSERT_EQ(odd->models.size(), 1u);
  EXPECT_EQ(odd->models[0].slots, 0u);
  EXPECT_EQ(odd->models[0].created, 0u) << "an agent that does not say";
  EXPECT_EQ(odd->models[0].context_tokens, 0u);
  std::string many = R"({"models":[)";
  for (int i = 0; i < 12'000; ++i)
    many += (i == 0 ? "" : ",") + std::string(R"({"name":"m)") + std::to_string(i) + "\"}";
  EXPECT_EQ(decode_health(many + "]}")->models.size(), 10'000u);
}

TEST(Control, AHealthLineIsBoundedWhateverItsModelsAreCalled) {
  Health health;
  for (int i = 0; i < 9'000; ++i) health.models.push_back({std::string(250, '\x01') + std::to_string(i)});
  const std::string line = encode(health);
  EXPECT_LE(line.size(), kHealthBytes);
  const auto read = decode_health(line);
  ASSERT_TRUE(read);
  EXPECT_GT(read->models.size(), 2'000u);
  EXPECT_LT(read->models.size(), 9'000u);
}

}  // namespace
}  // namespace sluice::tunnel
