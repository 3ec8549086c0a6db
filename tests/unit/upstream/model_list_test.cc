#include "upstream/model_list.h"

#include <gtest/gtest.h>

namespace sluice::upstream {
namespace {

using Names = std::vector<std::string>;

struct Case {
  const char* what;
  std::string json;
  Names names;
  std::size_t left_out;
};

TEST(ModelList, C47TheGoodEntriesAreListedAndTheBadOnesCounted) {
  const std::string long_name(257, 'x');
  const Case cases[] = {
      {"as documented", R"({"object":"list","data":[{"id":"a","object":"model"},{"id":"b"}]})", {"a", "b"}, 0},
      {"a bare array", R"([{"id":"a"},{"id":"b"}])", {"a", "b"}, 0},
      {"an entry without id", R"({"data":[{"id":"a"},{"object":"model"},{"id":"b"}]})", {"a", "b"}, 1},
      {"a name is no id", R"({"data":[{"id":"a"},{"name":"b"}]})", {"a"}, 1},
      {"entries of the wrong type", R"({"data":[null,7,"text",[],{},true,{"id":"a"}]})", {"a"}, 6},
      {"ids of the wrong type", R"({"data":[{"id":7},{"id":null},{"id":["x"]},{"id":{}},{"id":"a"}]})", {"a"}, 4},
      {"empty, too long, with a control character",
       R"({"data":[{"id":""},{"id":")" + long_name + R"("},{"id":"a\nb"},{"id":"a\u0000b"},{"id":"a"}]})",
       {"a"},
       4},
      {"the same twice", R"({"data":[{"id":"a"},{"id":"a"},{"id":"b"}]})", {"a", "b"}, 0},
      {"no models", R"({"object":"list","data":[]})", {}, 0},
      {"data null, as Ollama without models", R"({"object":"list","data":null})", {}, 0},
      {"models, as /api/tags", R"({"models":[{"name":"llama3:8b","model":"llama3:8b-q4"}]})", {"llama3:8b-q4"}, 0},
      {"models with names alone", R"({"models":[{"name":"llama3:8b"},{"size":1}]})", {"llama3:8b"}, 1},
      {"both lists, as llama.cpp", R"({"models":[{"name":"n"}],"object":"list","data":[{"id":"a"}]})", {"a"}, 0},
      {"data null and models", R"({"data":null,"models":[{"name":"n"}]})", {"n"}, 0},
      {"data empty and models", R"({"data":[],"models":[{"id":"n"}]})", {"n"}, 0},
      {"names alone", R"(["a","b",7])", {"a", "b"}, 1},
      {"names alone under data", R"({"data":["a","b"]})", {"a", "b"}, 0},
      {"nothing of use", R"({"data":[{},{"x":1}]})", {}, 2},
  };
  for (const Case& c : cases) {
    const Result<ModelList> list = read_model_list(c.json);
    ASSERT_TRUE(list) << c.what;
    EXPECT_EQ(list->names, c.names) << c.what;
    EXPECT_EQ(list->left_out, c.left_out) << c.what;
  }
}

TEST(ModelList, SaysWhenAModelWasMadeAndHowLongItsContextIs) {
  const std::pair<const char*, ModelFacts> cases[] = {
      {R"({"id":"a"})", {}},
      {R"({"id":"a","created":1700000000,"max_model_len":32768})", {1'700'000'000, 32'768}},
      {R"({"id":"a","created":1.7e9,"meta":{"n_ctx_train":131072}})", {1'700'000'000, 131'072}},
      {R"({"id":"a","meta":{"n_ctx_train":131072,"n_ctx":8192}})", {0, 8'192}},
      {R"({"id":"a","max_context_length":131072,"loaded_context_length":4096})", {0, 4'096}},
      {R"({"id":"a","context_length":200000})", {0, 200'000}},
      {R"({"id":"a","context_window":131072})", {0, 131'072}},
      {R"({"model":"a","details":{"context_length":40960}})", {0, 40'960}},
      {R"({"id":"a","created":"yesterday","max_model_len":null,"meta":null,"context_length":-1})", {}},
      {R"({"id":"a","created":-5,"max_model_len":1e30,"meta":7})", {}},
      {R"({"id":"a","created_at":"2025-02-19T00:00:00Z"})", {1'739'923'200, 0}},
      {R"({"id":"a","created_at":"2025-02-19T01:00:00.5+01:00"})", {1'739'923'200, 0}},
      {R"({"id":"a","created_at":1700000000})", {1'700'000'000, 0}},
      {R"({"id":"a","created_at":"1970-01-01T00:00:00Z"})", {}},
      {R"({"id":"a","created_at":"infinite-future"})", {}},
      {R"({"id":"a","created_at":"99999-01-01T00:00:00Z"})", {}},
      {R"({"id":"a","created_at":"2025"})", {}},
  };
  for (const auto& [entry, facts] : cases) {
    const Result<ModelList> list = read_model_list("[" + std::string(entry) + "]");
    ASSERT_TRUE(list) << entry;
    ASSERT_EQ(list->facts.size(), 1u);
    EXPECT_EQ(list->facts[0], facts) << entry;
  }
}

TEST(ModelList, WhatIsNoListIsAnError) {
  for (const char* json : {"", "null", "7", "\"a\"", "{}", R"({"data":{}})", R"({"data":"a"})",
                           R"({"error":{"message":"no"}})", "<html></html>", R"({"data":[{"id":"a"})"}) {
    const Result<ModelList> list = read_model_list(json);
    ASSERT_FALSE(list) << json;
    EXPECT_EQ(list.error().kind, ErrorKind::kProtocol) << json;
  }
}

TEST(ModelList, AHugeListIsBounded) {
  std::string json = "[";
  for (int i = 0; i < 12'000; ++i) json += (i == 0 ? "" : ",") + (R"({"id":"m)" + std::to_string(i) + R"("})");
  const Result<ModelList> list = read_model_list(json + "]");
  ASSERT_TRUE(list);
  EXPECT_EQ(list->names.size(), 10'000U);
  EXPECT_EQ(list->left_out, 2'000U);
}

}  // namespace
}  // namespace sluice::upstream
