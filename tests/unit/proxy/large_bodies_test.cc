// Large bodies are read beside the loop, one after the other, with the same verdicts.
#include "proxy/large_bodies.h"

#include <gtest/gtest.h>

#include <vector>

#include "openai/openai.h"
#include "support/loop_runner.h"

namespace sluice::proxy {
namespace {

using Read = std::optional<Result<dialect::CallBody>>;

std::string body_of(const std::string& model, std::size_t bytes) {
  std::string body = R"({"model":")" + model + R"(","messages":[{"role":"user","content":")";
  body += std::string(bytes, 'a') + R"("}]})";
  body.reserve(body.size() + 64);  // the padding that a reader looks into
  return body;
}

Task<void> keep(LargeBodies& bodies, net::Loop& loop, const dialect::Dialect& dialect, std::string_view body,
                Read& into) {
  into.emplace(co_await bodies.read(loop, dialect, dialect.endpoints()[0], body));
}

struct LargeBodiesTest : test::LoopTest {
  openai::OpenAi dialect;
  LargeBodies bodies;
};

TEST_F(LargeBodiesTest, EachReaderGetsItsOwnAndTheLoopRunsMeanwhile) {
  ASSERT_EQ(dialect.endpoints()[0].path, "/v1/chat/completions");
  std::vector<std::string> texts;
  for (const char* model : {"a", "b", "c"}) texts.push_back(body_of(model, 1 << 20));
  texts[1].pop_back();
  std::vector<Read> answers(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) group.spawn(keep(bodies, loop, dialect, texts[i], answers[i]));
  EXPECT_FALSE(answers[0]) << "nothing is read before the loop runs on";
  drain();
  ASSERT_TRUE(answers[0] && answers[1] && answers[2]);
  EXPECT_EQ((**answers[0]).model, "a");
  EXPECT_FALSE(*answers[1]);
  EXPECT_EQ((**answers[2]).model, "c");
  EXPECT_GT((**answers[2]).prompt_estimate, 200'000u);
}

}  // namespace
}  // namespace sluice::proxy
