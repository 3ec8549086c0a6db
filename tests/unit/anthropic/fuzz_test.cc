// Seeded mutations of the corpus under tests/fuzz/anthropic: the same inputs on every run.
#include <gtest/gtest.h>

#include "fuzz/anthropic/targets.h"
#include "support/mutator.h"

namespace sluice::anthropic {
namespace {

constexpr int kRounds = 3000;  // per target

TEST(Fuzz, AReadCallCanBeEdited) {
  test::Mutator mutator(test::corpus("anthropic/corpus/call"));
  wire::Parser parser;
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) fuzz::call(parser, mutator.next());
}

TEST(Fuzz, AStreamLeavesTheSameWhateverItsSplit) {
  test::Mutator mutator(test::corpus("anthropic/corpus/stream"));
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) {
    const std::string text = mutator.next();
    fuzz::stream(text, 1 + mutator.below(40));
  }
}

TEST(Fuzz, EveryErrorHasTheOneForm) {
  test::Mutator mutator(test::corpus("anthropic/corpus/error"));
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i)
    fuzz::error(static_cast<std::uint16_t>(300 + mutator.below(300)), mutator.next());
}

TEST(Fuzz, AnAnswerIsTheSameWhateverItsSplit) {
  test::Mutator mutator(test::corpus("anthropic/corpus/answer"));
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) {
    const std::string text = mutator.next();
    fuzz::answer(text, 1 + mutator.below(40));
  }
}

}  // namespace
}  // namespace sluice::anthropic
