// Seeded mutations of the corpus under tests/fuzz/translate/responses: the same inputs on every run.
#include <gtest/gtest.h>

#include "fuzz/translate/responses_targets.h"
#include "support/mutator.h"

namespace sluice::translate {
namespace {

constexpr int kResponsesRounds = 3000;  // per target

TEST(ResponsesFuzz, ACallThatCanBeMadeIsOneOfAChat) {
  test::Mutator mutator(test::corpus("translate/responses/call"));
  wire::Parser parser;
  for (int i = 0; i < kResponsesRounds && !testing::Test::HasFatalFailure(); ++i)
    fuzz_responses::call(parser, mutator.next());
}

TEST(ResponsesFuzz, AStreamLeavesTheSameWhateverItsSplit) {
  test::Mutator mutator(test::corpus("translate/responses/stream"));
  for (int i = 0; i < kResponsesRounds && !testing::Test::HasFatalFailure(); ++i) {
    const std::string text = mutator.next();
    fuzz_responses::stream(text, 1 + mutator.below(40));
  }
}

TEST(ResponsesFuzz, AnAnswerThatIsJsonStaysJson) {
  test::Mutator mutator(test::corpus("translate/responses/answer"));
  for (int i = 0; i < kResponsesRounds && !testing::Test::HasFatalFailure(); ++i)
    fuzz_responses::answer(mutator.next());
}

}  // namespace
}  // namespace sluice::translate
