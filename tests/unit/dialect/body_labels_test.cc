// `_meta` is read, and cut out so that what is left is JSON, wherever it stands.
#include "dialect/body_labels.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "dialect/body_reader.h"
#include "dialect/splices.h"

namespace sluice::dialect {
namespace {

struct Labelled {
  Status read = ok();
  std::map<std::string, std::string> labels;
  std::string left;  // of the body
  bool empty = false;
};

Labelled labelled(std::string_view text) {
  Buffer body;
  body.append(text);
  (void)body.prepare(simdjson::SIMDJSON_PADDING);
  wire::Parser parser;
  CallBody call;
  Labelled found;
  {
    BodyReader reader(parser.memory().parser, body.view());
    found.read = reader.read(call, [](std::string_view, simdjson::ondemand::value&) { return ok(); });
  }
  if (!found.read || !call.labels.meta.present()) return found;
  found.read = take_meta(call, body.view(), parser,
                         [&](std::string_view name, std::string_view value) { found.labels.emplace(name, value); });
  if (!found.read) return found;
  EditedBody edited;
  Splices splices(edited.scratch);
  splices.cut_labels(call);
  splices.write(body.view(), edited);
  for (std::size_t i = 0; i < edited.count; ++i) found.left += edited.parts[i];
  found.empty = call.object_empty;
  return found;
}

TEST(BodyLabels, AreCutOutWhereverTheyStand) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"_meta":{"a":"b"},"model":"m"})", R"({"model":"m"})"},
      {R"({"model":"m","_meta":{"a":"b"}})", R"({"model":"m"})"},
      {R"({"model":"m","_meta":{"a":"b"},"stream":true})", R"({"model":"m","stream":true})"},
      {"{ \"model\" : \"m\" ,\n \"_meta\" : {\"a\":\"b\"} \n}", "{ \"model\" : \"m\"  \n}"},
      {"{\"_meta\"\t:\n{ \"a\" : \"b\" } , \"model\":1}", "{ \"model\":1}"},
      {R"({"x":"\"_meta\":{","_meta":{"a":"b"}})", R"({"x":"\"_meta\":{"})"},
      {R"( {"_meta":{"a":"b"}} )", " {} "},
      {R"({"_meta":null,"model":"m"})", R"({"model":"m"})"},
  };
  for (const auto& [body, left] : cases) {
    const Labelled found = labelled(body);
    ASSERT_TRUE(found.read) << body << ": " << found.read.error().what;
    EXPECT_EQ(found.left, left) << body;
    EXPECT_EQ(found.empty, std::string_view(left) == " {} ");
    EXPECT_EQ(found.labels.count("a"), std::string_view(body).find("null") == std::string_view::npos ? 1u : 0u);
  }
}

TEST(BodyLabels, AreStringsAndNumbers) {
  const Labelled found = labelled(
      R"({"_meta":{"team":"r\u00e9d \"x\"","n":12,"f":-1.5e3,"none":"","k\u0065y":"v","brace":"}"},"model":"m"})");
  ASSERT_TRUE(found.read) << found.read.error().what;
  const std::map<std::string, std::string> expected{
      {"team", "r\u00e9d \"x\""}, {"n", "12"}, {"f", "-1.5e3"}, {"none", ""}, {"key", "v"}, {"brace", "}"}};
  EXPECT_EQ(found.labels, expected);
}

TEST(BodyLabels, NothingElseIsTaken) {
  std::string many = R"({"_meta":{)", most = many;
  for (int i = 0; i < 17; ++i) many += (i == 0 ? "\"l" : ",\"l") + std::to_string(i) + "\":1";
  for (int i = 0; i < 16; ++i) most += (i == 0 ? "\"l" : ",\"l") + std::to_string(i) + "\":1";
  EXPECT_TRUE(labelled(most + "}}").read);
  for (const std::string& body :
       {many + "}}", std::string(R"({"_meta":{"a":true}})"), std::string(R"({"_meta":{"a":{}}})"),
        std::string(R"({"_meta":{"a":null}})"), std::string(R"({"_meta":["a"]})"), std::string(R"({"_meta":"a"})"),
        std::string(R"({"_meta":7})"), std::string(R"({"_meta":{},"_meta":{}})"),
        std::string(R"({"\u005fmeta":{"a":"b"}})"), R"({"_meta":{"a":")" + std::string(257, 'x') + "\"}}",
        R"({"_meta":{")" + std::string(20'000, 'x') + "\":1}}"}) {
    const Labelled found = labelled(body);
    ASSERT_FALSE(found.read) << body;
    EXPECT_EQ(found.read.error().kind, ErrorKind::kBadRequest);
    EXPECT_NE(std::string_view(found.read.error().what).find("_meta"), std::string_view::npos)
        << found.read.error().what;
  }
}

}  // namespace
}  // namespace sluice::dialect
