#include "wire/json_check.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <string>

#include "support/mutator.h"

namespace sluice::wire {
namespace {

// simdjson's DOM, but for what it says of UTF-8 and of numbers beyond a double.
bool dom_takes(const std::string& text) {
  simdjson::dom::parser parser;
  if (parser.allocate(text.size() + 64, kDeepestJson) != simdjson::SUCCESS) return false;
  simdjson::dom::element element;
  return parser.parse(text).get(element) == simdjson::SUCCESS && element.is_object();
}

TEST(JsonCheck, TakesObjectsToTheLetter) {
  for (const char* text :
       {"{}", " { } \n", R"({"a":[1,-0.5e+3,0,"\u00e9\\\"/\/",true,false,null,{}]})", R"({"a":{"b":[]}})", R"({"":1})"})
    EXPECT_TRUE(is_json_object(text)) << text;
  for (const char* text : {"",
                           "[]",
                           "1",
                           "{",
                           "{}}",
                           "{} x",
                           R"({"a"})",
                           R"({"a":})",
                           R"({"a":1,})",
                           R"({,})",
                           R"({"a":tru})",
                           R"({"a":01})",
                           R"({"a":1.})",
                           R"({"a":.5})",
                           R"({"a":1e})",
                           R"({"a":+1})",
                           R"({"a":"\x"})",
                           R"({"a":"\u12g4"})",
                           "{\"a\":\"\n\"}",
                           R"({"a":[1 2]})",
                           R"({a:1})",
                           R"({"a":"b)",
                           R"({"a":-})"})
    EXPECT_FALSE(is_json_object(text)) << text;
}

TEST(JsonCheck, NestingIsBounded) {
  std::string deep = R"({"a":)", ends = "}";
  for (unsigned i = 0; i < kDeepestJson; ++i) {
    deep += "[";
    ends.insert(0, "]");
  }
  EXPECT_FALSE(is_json_object(deep + ends));
  EXPECT_TRUE(is_json_object(deep.substr(0, deep.size() - 2) + ends.substr(2)));
}

TEST(JsonCheck, SaysWhatAParserSays) {
  test::Mutator mutator(
      {R"({"a":[1,-0.5e+3,0,"\u00e9\\\"/\/",true,false,null,{}],"b":{"c":"d"}})", R"({ "x" : [ ] })"});
  for (int i = 0; i < 20'000; ++i) {
    std::string text = mutator.next();
    for (char& c : text) c = static_cast<char>(c & 0x7f);
    if (text.find("e400") != std::string::npos) continue;  // beyond a double; the mutator writes it
    EXPECT_EQ(is_json_object(text), dom_takes(text)) << text;
  }
}

}  // namespace
}  // namespace sluice::wire
