// Reading and editing calls, and filtering streams.
#include <benchmark/benchmark.h>

#include <string>

#include "base/bytes.h"
#include "openai/answer_walk.h"
#include "openai/call_reader.h"
#include "openai/stream_filter.h"

namespace {

using namespace sluice;
using openai::EndpointId;

// Not by operator+: g++ 12 sees overflows in it where it is inlined.
std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text.append(part);
  return text;
}

std::string call_of(std::size_t prompt_bytes, bool stream) {
  std::string prompt;
  while (prompt.size() < prompt_bytes) prompt += "the quick brown fox jumps over the lazy dog and ";
  prompt.resize(prompt_bytes);
  return joined({R"({"model":"bench-json",)", stream ? R"("stream":true,)" : "",
                 R"("max_tokens":256,"temperature":0.7,"messages":[{"role":"system","content":"You are terse."},)",
                 R"({"role":"user","content":")", prompt, R"("}]})"});
}

void BM_ReadCall(benchmark::State& state) {
  const std::string text = call_of(static_cast<std::size_t>(state.range(0)), false);
  Buffer body;
  static_cast<void>(body.prepare(text.size() + 128));  // room for simdjson's padding behind the body
  body.append(text);
  wire::Parser parser;
  const openai::Endpoint& endpoint = openai::endpoint_of(EndpointId::kChatCompletions);
  for (auto _ : state) {
    auto call = openai::read_call(endpoint, body.view(), parser);
    if (!call.has_value()) return state.SkipWithError("the call was refused");
    benchmark::DoNotOptimize(call);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK(BM_ReadCall)->ArgName("bytes")->Arg(100)->Arg(1 << 10)->Arg(64 << 10)->Arg(8 << 20);

void BM_EditCall(benchmark::State& state) {
  const std::string text = call_of(1024, true);
  Buffer body;
  static_cast<void>(body.prepare(text.size() + 128));
  body.append(text);
  wire::Parser parser;
  const openai::Endpoint& endpoint = openai::endpoint_of(EndpointId::kChatCompletions);
  const auto call = openai::read_call(endpoint, body.view(), parser);
  openai::Edits edits;
  edits.ask_for_usage = true;
  edits.clamp_output_to = 128;
  for (auto _ : state) {
    openai::EditedBody edited;
    openai::edit_body(endpoint, *call, body.view(), edits, edited);
    benchmark::DoNotOptimize(edited);
  }
}
BENCHMARK(BM_EditCall);

std::string event_of(const char* delta) {
  return joined({R"(data: {"id":"chatcmpl-bench0000000000","object":"chat.completion.chunk","created":1760000000,)",
                 R"("model":"bench-sse","choices":[{"index":0,"delta":)", delta, R"(,"finish_reason":null}]})",
                 "\n\n"});
}

// One stream of `range(0)` events, each arriving alone: time is per event.
void BM_FilterEvent(benchmark::State& state) {
  const std::string event = event_of(R"({"content":" word"})");
  const openai::Endpoint& endpoint = openai::endpoint_of(EndpointId::kChatCompletions);
  openai::StreamFilter filter(endpoint, {.client_wants_usage = true});
  Buffer in, out;
  for (auto _ : state) {
    in.append(event);
    benchmark::DoNotOptimize(filter.filter(in, out));
    out.clear();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * event.size()));
}
BENCHMARK(BM_FilterEvent);

// A stream of 64 events that arrives at once, made and ended: time is per stream.
void BM_FilterBurst(benchmark::State& state) {
  std::string stream;
  for (int i = 0; i < 63; ++i) stream += event_of(R"({"content":" word"})");
  stream += R"(data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})"
            "\n\n";
  stream += R"(data: {"id":"x","choices":[],"usage":{"prompt_tokens":25,"completion_tokens":64,"total_tokens":89}})"
            "\n\n";
  stream += "data: [DONE]\n\n";
  const openai::Endpoint& endpoint = openai::endpoint_of(EndpointId::kChatCompletions);
  Buffer in, out;
  for (auto _ : state) {
    openai::StreamFilter filter(endpoint, {.client_wants_usage = true});
    in.append(stream);
    benchmark::DoNotOptimize(filter.filter(in, out));
    benchmark::DoNotOptimize(filter.finish(out));
    out.clear();
    in.clear();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * stream.size()));
}
BENCHMARK(BM_FilterBurst);

void BM_FindUsage(benchmark::State& state) {
  const std::string answer =
      R"({"id":"chatcmpl-bench0000000000","object":"chat.completion","created":1760000000,"model":"bench-json",)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"A short answer of a dozen words or so."},)"
      R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":16,"total_tokens":41}})";
  const openai::Endpoint& endpoint = openai::endpoint_of(EndpointId::kChatCompletions);
  for (auto _ : state) {
    openai::AnswerWalk walk(endpoint);
    walk.take(answer);
    benchmark::DoNotOptimize(walk.told());
  }
}
BENCHMARK(BM_FindUsage);

// An answer of embeddings, 16 KiB at a time.
void BM_WalkEmbeddings(benchmark::State& state) {
  std::string answer = R"({"object":"list","data":[)";
  while (answer.size() < 1'000'000) {
    answer += R"({"object":"embedding","index":0,"embedding":[)";
    for (int i = 0; i < 1024; ++i) answer += "-0.0123456789,";
    answer.back() = ']';
    answer += "},";
  }
  answer.back() = ']';
  answer += R"(,"model":"m","usage":{"prompt_tokens":25,"total_tokens":25}})";
  const openai::Endpoint& endpoint = openai::endpoint_of(EndpointId::kEmbeddings);
  for (auto _ : state) {
    openai::AnswerWalk walk(endpoint);
    for (std::size_t at = 0; at < answer.size(); at += 16384) walk.take(std::string_view(answer).substr(at, 16384));
    benchmark::DoNotOptimize(walk.told());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * answer.size()));
}
BENCHMARK(BM_WalkEmbeddings);

}  // namespace
