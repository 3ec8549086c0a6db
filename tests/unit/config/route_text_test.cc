// The texts of [[routes]], and what check says of names that are nowhere.
#include "config/route_text.h"

#include <gtest/gtest.h>

#include "config/loader.h"

namespace sluice::config {
namespace {

using Kind = RouteOption::Kind;

TEST(RouteText, ARankNamesPlacesWithWeights) {
  const auto rank = parse_rank("big=3, agent:gpu-* , tag:eu=2,*");
  ASSERT_TRUE(rank.ok()) << rank.status();
  ASSERT_EQ(rank->size(), 4u);
  EXPECT_TRUE((*rank)[0].kind == Kind::kUpstream && (*rank)[0].name == "big" && (*rank)[0].weight == 3);
  EXPECT_TRUE((*rank)[1].kind == Kind::kAgent && (*rank)[1].name == "gpu-*" && (*rank)[1].weight == 1);
  EXPECT_TRUE((*rank)[2].kind == Kind::kTag && (*rank)[2].name == "eu" && (*rank)[2].weight == 2);
  EXPECT_EQ((*rank)[3].kind, Kind::kAny);
}

TEST(RouteText, WhatIsNoRankIsSaid) {
  for (const char* text : {"", "a,,b", "a=", "a=0", "a=1001", "a=x", "tag:", "agent:", "up*", "agent:*-eu", "tag:e*"})
    EXPECT_FALSE(parse_rank(text).ok()) << text;
}

TEST(RouteText, AStarStandsForAnyText) {
  EXPECT_TRUE(fits("gpt-*", "gpt-4o") && fits("gpt-*", "gpt-") && fits("*", "") && fits("*-eu", "x-eu"));
  EXPECT_TRUE(fits("a*z", "az") && fits("plain", "plain"));
  EXPECT_FALSE(fits("gpt-*", "gp") || fits("aa*aa", "aaa") || fits("plain", "plain2") || fits("*-eu", "eu"));
}

// What check finds, one line each.
std::string found(const std::string& conf) {
  const std::string text =
      "[[listener]]\ntransport = \"plain\"\n[[upstream]]\nname = \"box\"\nurl = \"http://127.0.0.1:1\"\ntags = "
      "[\"eu\"]\n"
      "models = [\"m\", \"n\"]\n" +
      conf;
  std::string all;
  for (const Diagnostic& one : load_text(text, "f", {.files = Files::kTrust, .known_policies = {}}).diagnostics)
    all += one.to_string() + "\n";
  return all;
}

TEST(CheckRoutes, TakesWhatIsThere) {
  EXPECT_EQ(
      found("[[routes]]\nmodel = \"m\"\nplaces = [\"box\", \"tag:eu\", \"agent:any-*\", \"*\"]\nfallback = [\"n\"]\n"
            "[[routes]]\nmodel = \"fast\"\nalias = \"m\"\n"),
      "");
}

TEST(CheckRoutes, NamesThatAreNowhereAreErrorsWithAdvice) {
  EXPECT_NE(found("[[routes]]\nmodel = \"m\"\nplaces = [\"bx\"]\n").find("there is no upstream bx; did you mean box?"),
            std::string::npos);
  EXPECT_NE(found("[[routes]]\nmodel = \"m\"\nplaces = [\"tag:us\"]\n").find("there is no tag us"), std::string::npos);
  EXPECT_NE(found("[[routes]]\nmodel = \"m\"\nfallback = [\"m\"]\n").find("falls back to itself"), std::string::npos);
  EXPECT_NE(found("[[routes]]\nmodel = \"a\"\nalias = \"b\"\n[[routes]]\nmodel = \"b\"\nalias = \"m\"\n")
                .find("b is an alias itself"),
            std::string::npos);
  EXPECT_NE(found("[[routes]]\nmodel = \"m\"\nfallback = [\"zz\"]\n").find("names the model zz"), std::string::npos);
}

TEST(CheckRoutes, SaysWhatAnUnsafeRetryCanCost) {
  EXPECT_NE(found("[route]\nretry_unsafe = [\"500\"]\n").find("charged for each attempt"), std::string::npos);
  EXPECT_NE(found("[route]\nretry_unsafe = [\"501\"]\n").find("\"501\" is none of 408, 500"), std::string::npos);
}

}  // namespace
}  // namespace sluice::config
