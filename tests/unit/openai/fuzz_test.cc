// Seeded mutations of the corpus under tests/fuzz/openai: the same inputs on every run.
#include <gtest/gtest.h>

#include "fuzz/openai/targets.h"
#include "support/mutator.h"

namespace sluice::openai {
namespace {

constexpr int kRounds = 3000;  // per target; enough to have found what it found, short enough for every build

TEST(Fuzz, AReadCallCanBeEdited) {
  test::Mutator mutator(test::corpus("openai/corpus/call"));
  wire::Parser parser;
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) {
    const std::string text = mutator.next();
    for (const EndpointId id :
         {EndpointId::kChatCompletions, EndpointId::kCompletions, EndpointId::kEmbeddings, EndpointId::kResponses})
      fuzz::call(parser, endpoint_of(id), text);
  }
}

TEST(Fuzz, AReadFormCanBeEdited) {
  test::Mutator mutator(test::corpus("openai/corpus/form"));
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i)
    fuzz::form(endpoint_of(i % 2 == 0 ? EndpointId::kTranscriptions : EndpointId::kImageEdits), mutator.next());
}

TEST(Fuzz, TheLinesOfABatchThatAreReadCanBeEdited) {
  test::Mutator mutator(test::corpus("openai/corpus/batch"));
  wire::Parser parser;
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) fuzz::batch(parser, mutator.next());
}

TEST(Fuzz, AStreamLeavesTheSameWhateverItsSplit) {
  test::Mutator mutator(test::corpus("openai/corpus/stream"));
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) {
    const std::string text = mutator.next();
    const std::size_t step = 1 + mutator.below(40);
    for (const EndpointId id : {EndpointId::kChatCompletions, EndpointId::kResponses})
      fuzz::stream(endpoint_of(id), i % 2 == 0, text, step);
  }
}

TEST(Fuzz, AChunkLeavesTheSameAfterOneLikeIt) {
  test::Mutator mutator(test::corpus("openai/corpus/chunk"));
  const std::vector<std::string> chunks = test::corpus("openai/corpus/chunk");
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i) {
    const std::string second = mutator.next();
    for (const EndpointId id : {EndpointId::kChatCompletions, EndpointId::kCompletions}) {
      for (const std::string& first : chunks) fuzz::repeated(endpoint_of(id), i % 2 == 0, first, second);
    }
  }
}

TEST(Fuzz, EveryErrorLeavesNested) {
  test::Mutator mutator(test::corpus("openai/corpus/error"));
  for (int i = 0; i < kRounds && !testing::Test::HasFatalFailure(); ++i)
    fuzz::error(static_cast<std::uint16_t>(300 + mutator.below(300)), mutator.next());
}

}  // namespace
}  // namespace sluice::openai
