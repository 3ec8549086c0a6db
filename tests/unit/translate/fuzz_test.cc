// Seeded mutations of the corpus under tests/fuzz/translate, and of the dialects' own: the same inputs on every run.
#include <gtest/gtest.h>

#include "fuzz/translate/targets.h"
#include "support/mutator.h"

namespace sluice::translate {
namespace {

constexpr int kRounds = 3000;  // per target

std::vector<std::string> both_corpora(const std::string& own, const std::string& dialects) {
  std::vector<std::string> all = test::corpus(own);
  for (std::string& text : test::corpus(dialects)) all.push_back(std::move(text));
  return all;
}

TEST(Fuzz, ACallThatIsReadIsOneOfTheOtherDialect) {
  test::Mutator mutator(both_corpora("translate/corpus/call", "anthropic/corpus/call"));
  wire::Parser parser;
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) fuzz::call(parser, mutator.next());
}

TEST(Fuzz, AStreamIsOneOfMessagesWhateverCameAndHoweverItWasSplit) {
  test::Mutator mutator(both_corpora("translate/corpus/stream", "openai/corpus/stream"));
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) {
    const std::string text = mutator.next();
    fuzz::stream(text, 1 + mutator.below(40));
  }
}

TEST(Fuzz, AMessageThatIsMadeOfJsonIsJson) {
  test::Mutator mutator(test::corpus("translate/corpus/answer"));
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) fuzz::answer(mutator.next());
}

}  // namespace
}  // namespace sluice::translate
