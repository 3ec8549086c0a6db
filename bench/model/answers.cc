#include "model/answers.h"

#include <cstdio>

namespace sluice::bench {
namespace {

constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

std::string chunk(const std::string& payload) {
  char size[16];
  std::snprintf(size, sizeof(size), "%zx\r\n", payload.size());
  return size + payload + "\r\n";
}

std::string event(std::string_view model, const std::string& delta, const std::string& finish) {
  return chunk(
      R"(data: {"id":"chatcmpl-bench0000000000","object":"chat.completion.chunk","created":1760000000,"model":")" +
      std::string(model) + R"(","choices":[{"index":0,"delta":)" + delta + R"(,"finish_reason":)" + finish + "}]}\n\n");
}

std::string usage_event(std::string_view model, std::uint32_t tokens) {
  return chunk(
      R"(data: {"id":"chatcmpl-bench0000000000","object":"chat.completion.chunk","created":1760000000,"model":")" +
      std::string(model) + R"(","choices":[],"usage":{"prompt_tokens":25,"completion_tokens":)" +
      std::to_string(tokens) + R"(,"total_tokens":)" + std::to_string(tokens + 25) + "}}\n\n");
}

void make_stream(std::string_view model, Answer& into) {
  const std::string first = event(model, R"({"role":"assistant","content":" word"})", "null");
  const std::string done = chunk("data: [DONE]\n\n") + "0\r\n\r\n";
  const std::string last = event(model, R"({"content":"."})", "\"stop\"");
  into.middle = event(model, R"({"content":" word"})", "null");
  into.head_and_first = std::string(kStreamHead) + first;
  into.last = last + done;
  into.last_with_usage = last + usage_event(model, into.events) + done;
  if (into.pace_ms != 0 && into.events > 1) return;
  std::string all = into.head_and_first;
  for (std::uint32_t i = 2; i < into.events; ++i) all += into.middle;
  into.burst = all + (into.events > 1 ? into.last : done);
  into.burst_with_usage = all + (into.events > 1 ? into.last_with_usage : usage_event(model, 1) + done);
}

void make_json(std::string_view model, Answer& into) {
  const std::string body =
      R"({"id":"chatcmpl-bench0000000000","object":"chat.completion","created":1760000000,"model":")" +
      std::string(model) +
      R"(","choices":[{"index":0,"message":{"role":"assistant","content":"A short answer of a dozen words or so, as )"
      R"(a small model gives."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":25,)"
      R"("completion_tokens":16,"total_tokens":41},"system_fingerprint":"fp_bench"})";
  into.head_and_first = "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\nContent-Length: " +
                        std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::unique_ptr<Answer> make_answer(const std::string& model) {
  auto answer = std::make_unique<Answer>();
  unsigned events = 0;
  unsigned pace = 0;
  if (model.starts_with("bench-json")) {
    make_json(model, *answer);
  } else if (std::sscanf(model.c_str(), "bench-sse-%u-%u", &events, &pace) == 2 && events > 0 && events < 1'000'000) {
    answer->stream = true;
    answer->events = events;
    answer->pace_ms = pace;
    make_stream(model, *answer);
  } else {
    return nullptr;
  }
  return answer;
}

}  // namespace

const Answer* AnswerBook::find(std::string_view model) {
  const auto found = answers_.find(model);
  if (found != answers_.end()) return found->second.get();
  std::unique_ptr<Answer> answer = make_answer(std::string(model));
  if (!answer) return nullptr;
  return answers_.emplace(model, std::move(answer)).first->second.get();
}

}  // namespace sluice::bench
