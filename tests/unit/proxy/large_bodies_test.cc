// Large bodies are read beside the loop, one after the other, with the same verdicts.
#include "proxy/large_bodies.h"

#include <gtest/gtest.h>

#include <deque>
#include <latch>
#include <vector>

#include "openai/openai.h"
#include "support/loop_runner.h"

namespace sluice::proxy {
namespace {

std::string body_of(const std::string& model, std::size_t bytes) {
  std::string body = R"({"model":")" + model + R"(","messages":[{"role":"user","content":")";
  body += std::string(bytes, 'a') + R"("}]})";
  body.reserve(body.size() + 64);  // the padding that a reader looks into
  return body;
}

Task<void> wait_for(LargeBodies::Job& job) {
  while (!job.over()) (void)co_await job.wake().wait();
}

// One that takes as long as it is told to.
struct HeldJob final : LargeBodies::Job {
  using Job::Job;
  void work(wire::Parser&) noexcept override { let_go.wait(); }
  std::latch let_go{1};
};

struct LargeBodiesTest : test::LoopTest {
  openai::OpenAi dialect;
  LargeBodies bodies;
};

TEST_F(LargeBodiesTest, EachReaderGetsItsOwnAndTheLoopRunsMeanwhile) {
  ASSERT_EQ(dialect.endpoints()[0].path, "/v1/chat/completions");
  std::vector<std::string> texts;
  for (const char* model : {"a", "b", "c"}) texts.push_back(body_of(model, 1 << 20));
  texts[1].pop_back();
  std::deque<net::Signal> wakes;
  std::deque<ReadJob> jobs;
  for (const std::string& text : texts) {
    jobs.emplace_back(wakes.emplace_back(loop), dialect, dialect.endpoints()[0], "", text);
    bodies.add(jobs.back());
    group.spawn(wait_for(jobs.back()));
  }
  EXPECT_FALSE(jobs[0].over()) << "nothing is over before the loop runs on";
  drain();
  EXPECT_EQ(jobs[0].result()->model, "a");
  EXPECT_FALSE(jobs[1].result());
  EXPECT_EQ(jobs[2].result()->model, "c");
  EXPECT_GT(jobs[2].result()->prompt_estimate, 200'000u);
}

TEST_F(LargeBodiesTest, OneThatWaitsIsWithdrawnAndNotRead) {
  const std::string text = body_of("b", 1 << 20);
  net::Signal first_wake(loop), second_wake(loop);
  HeldJob ahead(first_wake);
  ReadJob job(second_wake, dialect, dialect.endpoints()[0], "", text);
  bodies.add(ahead);
  bodies.add(job);
  EXPECT_TRUE(bodies.withdraw(job));
  EXPECT_FALSE(bodies.withdraw(job));
  ahead.let_go.count_down();
  group.spawn(wait_for(ahead));
  drain();
  EXPECT_TRUE(ahead.over());
  EXPECT_FALSE(job.over());
  EXPECT_FALSE(bodies.withdraw(ahead)) << "it was worked on";
}

}  // namespace
}  // namespace sluice::proxy
