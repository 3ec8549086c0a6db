// A stream of a chat for a client of Responses, beside the same stream passed on.
#include <benchmark/benchmark.h>

#include <string>

#include "base/bytes.h"
#include "openai/stream_filter.h"
#include "translate/responses_to_chat.h"

namespace {

using namespace sluice;

constexpr std::string_view kChunk =
    R"(data: {"id":"chatcmpl-bench0000000000","object":"chat.completion.chunk","created":1760000000,)"
    R"("model":"bench-sse","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]})"
    "\n\n";
constexpr std::int64_t kStreamEvents = 1024;  // an answer of that length: the last event repeats it

// As BM_FilterEvent: each event arrives alone, time is per event. With its begin and its end where `translated`.
void stream(benchmark::State& state, bool translated) {
  const openai::Endpoint& endpoint = openai::endpoint_of(openai::EndpointId::kChatCompletions);
  const translate::ResponsesToChat pair;
  while (state.KeepRunningBatch(kStreamEvents)) {
    openai::StreamFilter filter(endpoint, {.client_wants_usage = true});
    const auto translator = pair.events({.unique = "0123456789abcdef", .model = "bench-sse"});
    Buffer in, between, out;
    for (std::int64_t i = 0; i < kStreamEvents; ++i) {
      in.append(kChunk);
      benchmark::DoNotOptimize(filter.filter(in, translated ? between : out));
      if (translated) {
        translator->translate(between.view(), out);
        between.clear();
      }
      benchmark::DoNotOptimize(out.data());
      out.clear();
    }
    if (translated) translator->finish(out);
  }
}
void BM_PassedStreamEvent(benchmark::State& state) { stream(state, false); }
BENCHMARK(BM_PassedStreamEvent);
void BM_ResponsesStreamEvent(benchmark::State& state) { stream(state, true); }
BENCHMARK(BM_ResponsesStreamEvent);

}  // namespace
