// What a tunnel costs without its socket: two sessions whose bytes are piped from one to the other.
#include <benchmark/benchmark.h>

#include "tunnel/agent_tunnel.h"
#include "tunnel/gateway_tunnel.h"

namespace sluice::tunnel {
namespace {

class Pipe final : public CallHandler {
 public:
  void handle(IncomingPtr call) noexcept override { calls.push_back(std::move(call)); }
  void pump() {
    for (bool moved = true; moved;) {
      moved = carry(gateway, agent);
      moved = carry(agent, gateway) || moved;
    }
    loop.io().poll();
    loop.io().restart();
  }
  static bool carry(Session& from, Session& to) {
    from.collect();
    if (from.output().empty()) return false;
    benchmark::DoNotOptimize(to.receive({from.output().data(), from.output().size()}));
    from.output().clear();
    return true;
  }
  net::Loop loop;
  net::Signal wake{loop};
  std::atomic<std::size_t> buffered{0};
  SessionOptions options;
  std::vector<IncomingPtr> calls;
  GatewayTunnel gateway{loop, options};
  AgentTunnel agent{loop, options, BodyLimits{}, buffered, *this};
};

const std::array<http::Header, 3> kHeaders{
    {{"content-type", "application/json"}, {"accept", "application/json"}, {"x-request-id", "req_0123456789abcdef"}}};

// Both ends of one call: a request of 1 KiB, an answer of 2 KiB.
void TunnelJsonCall(benchmark::State& state) {
  Pipe pipe;
  const std::string body(1024, 'q');
  const std::string answer(2048, 'a');
  const std::array<std::string_view, 1> parts{body};
  const http::Header type{"content-type", "application/json"};
  for (auto _ : state) {
    auto call = pipe.gateway.start({"POST", "/v1/chat/completions", kHeaders, parts}, pipe.wake);
    pipe.pump();
    auto incoming = std::move(pipe.calls.back());
    pipe.calls.pop_back();
    incoming->begin(200, {&type, 1});
    incoming->append(answer);
    IncomingCall::finish(std::move(incoming));
    pipe.pump();
    if (call->state() != http::CallState::kEnded) state.SkipWithError("call did not end");
  }
}
BENCHMARK(TunnelJsonCall);

// Both ends of one event of 200 bytes, `range` streams having one each turn.
void TunnelStreamedEvent(benchmark::State& state) {
  Pipe pipe;
  const auto streams = static_cast<std::size_t>(state.range(0));
  const std::string event = "data: " + std::string(192, 'e') + "\n\n";
  std::vector<std::unique_ptr<http::OutgoingCall>> calls;
  for (std::size_t i = 0; i < streams; ++i) {
    calls.push_back(pipe.gateway.start({"POST", "/v1/chat/completions", kHeaders, {}}, pipe.wake));
  }
  pipe.pump();
  for (const auto& incoming : pipe.calls) incoming->begin(200, {});
  pipe.pump();
  for (auto _ : state) {
    for (const auto& incoming : pipe.calls) incoming->append(event);
    pipe.pump();
    for (const auto& call : calls) {
      const std::size_t size = call->body().size();
      call->body().clear();
      call->taken(size);
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * streams));
  calls.clear();
}
BENCHMARK(TunnelStreamedEvent)->Arg(1)->Arg(50)->Arg(500);

}  // namespace
}  // namespace sluice::tunnel
