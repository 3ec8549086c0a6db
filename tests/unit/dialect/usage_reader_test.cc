#include "dialect/usage_reader.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "support/source_dir.h"
#include "wire/skim.h"

namespace sluice::dialect {
namespace {

constexpr std::pair<const char*, std::uint64_t Usage::*> kRareMeters[] = {
    {"cache_write", &Usage::cache_write_tokens},
    {"cache_write_1h", &Usage::cache_write_1h_tokens},
    {"audio_input", &Usage::audio_input_tokens},
    {"audio_output", &Usage::audio_output_tokens},
    {"searches", &Usage::searches},
    {"seconds", &Usage::seconds}};

// One line of cases/usage.jsonl.
struct UsageCase {
  std::string usage;
  Usage right;
  UsageDoubt doubt = UsageDoubt::kNone;
  std::string why;
};

std::vector<UsageCase> cases() {
  std::ifstream file(std::string(test::kSourceDir) + "/tests/unit/openai/cases/usage.jsonl");
  std::vector<UsageCase> all;
  simdjson::dom::parser parser;
  for (std::string line; std::getline(file, line);) {
    const simdjson::dom::element row = parser.parse(line);
    UsageCase c;
    c.usage = std::string_view(row["usage"]);
    c.why = std::string_view(row["why"]);
    c.right.prompt_tokens = row["prompt"];
    c.right.cached_tokens = row["cached"];
    c.right.completion_tokens = row["completion"];
    c.right.reasoning_tokens = row["reasoning"];
    for (const auto& [name, meter] : kRareMeters)
      if (row[name].error() == simdjson::SUCCESS) c.right.*meter = row[name];
    if (row["doubt"].error() == simdjson::SUCCESS) c.doubt = UsageDoubt::kTotal;
    all.push_back(c);
  }
  return all;
}

void expect_reads(const std::string& usage, const UsageCase& c) {
  const std::optional<UsageReading> read = read_usage(usage);
  ASSERT_TRUE(read) << c.why << ": " << usage;
  EXPECT_EQ(read->usage.source, UsageSource::kMeasured);
  EXPECT_EQ(read->usage.prompt_tokens, c.right.prompt_tokens) << c.why << ": " << usage;
  EXPECT_EQ(read->usage.cached_tokens, c.right.cached_tokens) << c.why << ": " << usage;
  EXPECT_EQ(read->usage.completion_tokens, c.right.completion_tokens) << c.why << ": " << usage;
  EXPECT_EQ(read->usage.reasoning_tokens, c.right.reasoning_tokens) << c.why << ": " << usage;
  for (const auto& [name, meter] : kRareMeters)
    EXPECT_EQ(read->usage.*meter, c.right.*meter) << name << ": " << c.why << ": " << usage;
  EXPECT_EQ(read->doubt, c.doubt) << c.why << ": " << usage;
}

// The members of an object's text, as they stand.
std::vector<std::string> members_of(std::string_view object) {
  std::vector<std::string> members;
  wire::Skimmer skimmer(object);
  EXPECT_EQ(skimmer.open('{'), wire::Skim::kMember);
  for (wire::SkimMember member; skimmer.member(member) == wire::Skim::kMember;)
    members.emplace_back(member.begin, static_cast<std::size_t>(member.end() - member.begin));
  return members;
}

std::string object_of(const std::vector<std::string>& members) {
  std::string object = "{";
  for (const std::string& member : members) {
    if (object.size() > 1) object += ",";
    object += member;
  }
  return object + "}";
}

TEST(ReadUsage, C41OneRuleReadsEverySpelling) {
  const std::vector<UsageCase> all = cases();
  ASSERT_GT(all.size(), 60u);
  for (const UsageCase& c : all) expect_reads(c.usage, c);
}

TEST(ReadUsage, C41TheOrderOfMembersChangesNothing) {
  for (const UsageCase& c : cases()) {
    std::vector<std::string> members = members_of(c.usage);
    std::sort(members.begin(), members.end());
    for (int i = 0; i < 120 && !testing::Test::HasFailure(); ++i) {
      expect_reads(object_of(members), c);
      if (!std::next_permutation(members.begin(), members.end())) break;
    }
  }
}

TEST(ReadUsage, C41WhatServersAddChangesNothing) {
  for (const UsageCase& c : cases()) {
    for (const char* more :
         {R"("queue_time":0.1)", R"("cost":NaN)", R"("service_tier":"standard")",
          R"("server_tool_use":{"total_tokens":7})", R"("prompt_tokens":0)", R"("output_tokens":null)",
          R"("input_tokens":null)", R"("iterations":[{"input_tokens":7}])",
          R"("cache_creation":{"ephemeral_5m_input_tokens":7})", R"("a\"b\\":"\"}")"}) {
      // A zero is a count that was told: beside an absent side it is another case.
      if (std::string_view(more) == R"("prompt_tokens":0)" && c.usage.find("prompt_tokens\"") == std::string::npos)
        continue;
      std::vector<std::string> members = members_of(c.usage);
      members.insert(members.begin() + static_cast<std::ptrdiff_t>(members.size() / 2), more);
      expect_reads(object_of(members), c);
    }
  }
}

TEST(ReadUsage, C41EveryNameMayBeEscaped) {
  for (const UsageCase& c : cases()) {
    std::string escaped;
    for (const std::string& member : members_of(c.usage)) {
      if (member[1] == '\\') {
        escaped += "," + member;
        continue;
      }
      constexpr char kHex[] = "0123456789abcdef";
      const auto first = static_cast<unsigned char>(member[1]);
      escaped += ",\"\\u00";
      escaped += kHex[first >> 4];
      escaped += kHex[first & 15];
      escaped += member.substr(2);
    }
    expect_reads("{" + escaped.substr(1) + "}", c);
  }
}

TEST(ReadUsage, C24AbsentIsNotZero) {
  for (const char* object :
       {"", "null", "[]", "{}", "7", "\"x\"", R"({"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})",
        R"({"type":"duration","seconds":3})", R"({"prompt_tokens":-4})", R"({"prompt_tokens":null})",
        R"({"prompt_tokens":4)", R"({"prompt_tokens":4,"completion_tokens":"4)",
        R"({"prompt_tokens_details":{"prompt_tokens":4}})"})
    EXPECT_FALSE(read_usage(object)) << object;
}

TEST(ReadUsage, C24StepsBesideCountsOfNothingAreCounted) {
  const auto read = read_usage(
      R"({"input_tokens":0,"output_tokens":0,"iterations":[{"type":"compaction","input_tokens":180000,"output_tokens":3500}]})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->usage.prompt_tokens, 180000U);
  EXPECT_EQ(read->usage.completion_tokens, 3500U);
}

TEST(ReadUsage, ACutOffObjectIsNeverReadOtherwise) {
  for (const UsageCase& c : cases()) {
    for (std::size_t size = 0; size < c.usage.size(); ++size) {
      const std::string_view text = std::string_view(c.usage).substr(0, size);
      EXPECT_FALSE(read_usage(text)) << text;
    }
  }
}

TEST(UsageReader, OtherMetersStandAloneOnlyWhereTheyMay) {
  const std::tuple<const char*, std::uint64_t, std::uint64_t> cases[] = {
      {R"({"type":"duration","seconds":7})", 7, 0},       {R"({"type":"duration","seconds":7.01})", 8, 0},
      {R"({"type":"duration","seconds":"7.0"})", 7, 0},   {R"({"search_units":2})", 0, 2},
      {R"({"seconds":1e30})", std::uint64_t{1} << 53, 0},
  };
  for (const auto& [text, seconds, searches] : cases) {
    EXPECT_FALSE(read_usage(text)) << text;
    const std::optional<UsageReading> read = read_usage(text, Tokens::kMayLack);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(read->usage.seconds, seconds) << text;
    EXPECT_EQ(read->usage.searches, searches) << text;
    EXPECT_EQ(read->usage.total(), 0u) << text;
  }
  for (const char* nothing : {"{}", R"({"seconds":0})", R"({"seconds":-1})", R"({"seconds":null,"search_units":"x"})"})
    EXPECT_FALSE(read_usage(nothing, Tokens::kMayLack)) << nothing;
  const Usage joined = with_meters_of({.seconds = 7}, {.prompt_tokens = 20, .completion_tokens = 3});
  EXPECT_EQ(joined.source, UsageSource::kMeasured);
  EXPECT_EQ(joined.prompt_tokens, 7 * kTokensPerSecond);
  EXPECT_EQ(joined.completion_tokens, 3u);
}

}  // namespace
}  // namespace sluice::dialect
