// A translated stream beside a passed one (BM_FilterEvent, BM_FilterBurst), and a translated call.
#include <benchmark/benchmark.h>

#include <string>

#include "base/bytes.h"
#include "openai/endpoint.h"
#include "openai/stream_filter.h"
#include "translate/chat_call.h"
#include "translate/messages_to_chat.h"

namespace {

using namespace sluice;

std::string translated_event_of(std::string_view delta) {
  std::string text(R"(data: {"id":"chatcmpl-bench0000000000","object":"chat.completion.chunk","created":1760000000,)");
  text.append(R"("model":"bench-sse","choices":[{"index":0,"delta":)")
      .append(delta)
      .append(R"(,"finish_reason":null}]})");
  return text.append("\n\n");
}

// As the exchange has them: the place's filter, and behind it the translator. Time is per event, each arriving alone.
void translate_events(benchmark::State& state, std::string_view first, std::string_view each) {
  const std::string begin = translated_event_of(first), event = translated_event_of(each);
  openai::StreamFilter filter(openai::endpoint_of(openai::EndpointId::kChatCompletions), {.client_wants_usage = true});
  const auto translator = translate::MessagesToChat().events({.unique = "1", .model = "m"});
  Buffer in, between, out;
  const auto pass = [&](std::string_view bytes) {
    in.append(bytes);
    benchmark::DoNotOptimize(filter.filter(in, between));
    translator->translate(between.view(), out);
    between.clear();
    out.clear();
  };
  pass(begin);
  for (auto _ : state) pass(event);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * event.size()));
}

void BM_TranslateEvent(benchmark::State& state) {
  translate_events(state, R"({"role":"assistant","content":""})", R"({"content":" word"})");
}
BENCHMARK(BM_TranslateEvent);

void BM_TranslateCallEvent(benchmark::State& state) {
  translate_events(state,
                   R"({"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]})",
                   R"({"tool_calls":[{"index":0,"function":{"arguments":"\"word\":1,"}}]})");
}
BENCHMARK(BM_TranslateCallEvent);

// The passed event that BM_TranslateCallEvent is held against.
void BM_FilterCallEvent(benchmark::State& state) {
  const std::string event =
      translated_event_of(R"({"tool_calls":[{"index":0,"function":{"arguments":"\"word\":1,"}}]})");
  openai::StreamFilter filter(openai::endpoint_of(openai::EndpointId::kChatCompletions), {.client_wants_usage = true});
  Buffer in, out;
  for (auto _ : state) {
    in.append(event);
    benchmark::DoNotOptimize(filter.filter(in, out));
    out.clear();
  }
}
BENCHMARK(BM_FilterCallEvent);

// A conversation of so many bytes: turns of text, calls of tools and their results.
void BM_TranslateCall(benchmark::State& state) {
  std::string body = R"({"model":"m","max_tokens":100,"system":"S","messages":[)";
  const std::string text(400, 'x');
  while (body.size() < static_cast<std::size_t>(state.range(0))) {
    body.append(R"({"role":"assistant","content":[{"type":"text","text":")").append(text);
    body.append(R"("},{"type":"tool_use","id":"t","name":"f","input":{"a":")").append(text);
    body.append(R"("}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":")").append(text);
    body.append(R"("}]},)");
  }
  body.append(R"({"role":"user","content":"and?"}]})");
  for (auto _ : state) {
    Buffer out;
    benchmark::DoNotOptimize(translate::append_chat_call(out, body));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}
BENCHMARK(BM_TranslateCall)->ArgName("bytes")->Arg(1 << 10)->Arg(64 << 10)->Arg(8 << 20);

}  // namespace
