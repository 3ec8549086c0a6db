// The calls of a batch, as its file has them.
#include "openai/batch_lines.h"

#include <gtest/gtest.h>
#include <simdjson.h>

namespace sluice::openai {
namespace {

class BatchLinesTest : public ::testing::Test {
 protected:
  std::string read(std::string_view file) {
    body.clear();
    body.append(file);
    (void)body.prepare(simdjson::SIMDJSON_PADDING);
    upload = {};
    return std::string(read_batch(body.view(), upload, parser));
  }
  std::string edited(std::string_view file, const dialect::LineEdits& edits) {
    read(file);
    Buffer out;
    EXPECT_TRUE(append_edited_batch(out, body.view(), edits, parser));
    return std::string(out.view());
  }

  Buffer body;
  wire::Parser parser;
  dialect::Upload upload;
};

std::string chat_line(std::string_view members) {
  return std::string(R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{)").append(members) +
         "}}";
}

TEST_F(BatchLinesTest, SaysWhatItsCallsAskForTogether) {
  const std::string capped = chat_line(R"("model":"m","max_tokens":7,"n":3,"messages":[{"content":"12345678"}])");
  const std::string open = chat_line(R"("messages":[{"content":"1234"}],"model":"m","n":2)");
  EXPECT_EQ(read(capped + "\r\n\n  \n" + open + "\n"), "m");
  EXPECT_EQ(upload.wrong_line, 0u);
  EXPECT_EQ(upload.lines, 2u);
  EXPECT_EQ(upload.endpoint, "chat.completions");
  EXPECT_EQ(upload.prompt_tokens, 3u);
  EXPECT_EQ(upload.output_tokens, 21u);
  EXPECT_EQ(upload.uncapped_answers, 2u);
}

TEST_F(BatchLinesTest, OfOneThatCannotBeTakenItSaysWhich) {
  const std::string good = chat_line(R"("model":"m")");
  for (const std::string& wrong :
       {std::string("{}"), std::string("x"), chat_line(R"("model":"other")"), chat_line(R"("model":"m","stream":true)"),
        chat_line(R"("model":"m","model":"m")"), chat_line("\"n\":1"), chat_line(R"("model":"m","_meta":{})")}) {
    read(good + "\n\n" + wrong + "\n" + good);
    EXPECT_EQ(upload.wrong_line, 3u) << wrong;
    EXPECT_EQ(upload.wrong.kind, ErrorKind::kBadRequest);
  }
  read(" \n\n");
  EXPECT_EQ(upload.lines, 0u);
  EXPECT_EQ(upload.wrong_line, 0u);
}

TEST_F(BatchLinesTest, ChangesTheModelAndTheCapOfWhatHasNoneAndNothingElse) {
  const std::string around = R"({ "body" : {"model": "m", "n":1}, "x": [1, 2], "custom_id":"a","method":"POST",)"
                             R"("url":"/v1/chat/completions"})";
  const std::string file = around + "\r\n \n" + chat_line(R"("max_tokens":9,"model":"m")");
  EXPECT_EQ(edited(file, {}), file);
  EXPECT_EQ(edited(file, {.model = "theirs", .cap = 5}),
            R"({ "body" : {"max_completion_tokens":5,"model": "theirs", "n":1}, "x": [1, 2], "custom_id":"a",)"
            R"("method":"POST","url":"/v1/chat/completions"})"
            "\r\n \n" +
                chat_line(R"("max_tokens":9,"model":"theirs")"));
  EXPECT_EQ(edited(chat_line(R"("model":"m","max_tokens":null)"), {.cap = 5, .cap_member = CapMember::kMaxTokens}),
            chat_line(R"("model":"m","max_tokens":5)"));
}

TEST_F(BatchLinesTest, AnAnswerOfABatchSaysWhatItsCallUsed) {
  const auto used = [&](std::string_view line) {
    body.clear();
    body.append(line);
    (void)body.prepare(simdjson::SIMDJSON_PADDING);
    const auto told = told_in_batch(body.view(), parser);
    return told ? told->usage.total() : 0;
  };
  EXPECT_EQ(
      used(R"({"custom_id":"a","response":{"body":{"usage":{"prompt_tokens":5,"completion_tokens":3}}},"error":null})"),
      8u);
  EXPECT_EQ(used(R"({"response":{"body":{"usage":{"prompt_tokens":5,"total_tokens":5}}}})"), 5u);
  for (const char* const none : {"", "x", "{}", R"({"response":null,"error":{"code":"x"}})",
                                 R"({"usage":{"prompt_tokens":5,"completion_tokens":3}})"})
    EXPECT_EQ(used(none), 0u) << none;
}

}  // namespace
}  // namespace sluice::openai
