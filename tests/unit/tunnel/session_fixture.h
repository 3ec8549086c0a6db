// Two sessions of a tunnel, their bytes piped from one to the other in memory.
#pragma once

#include <gtest/gtest.h>

#include <deque>

#include "net/task_group.h"
#include "tunnel/agent_tunnel.h"
#include "tunnel/gateway_tunnel.h"

namespace sluice::tunnel {

class Inbox final : public CallHandler {
 public:
  void handle(IncomingPtr call) noexcept override { calls.push_back(std::move(call)); }
  IncomingPtr next() {
    if (calls.empty()) return nullptr;
    auto call = std::move(calls.front());
    calls.pop_front();
    return call;
  }
  std::deque<IncomingPtr> calls;
};

class Tunnel : public testing::Test {
 protected:
  // Carries bytes both ways until neither side has any.
  void pump() {
    for (bool moved = true; moved;) {
      moved = carry(gateway, agent);
      moved = carry(agent, gateway) || moved;
    }
  }
  static bool carry(Session& from, Session& to) {
    from.collect();
    if (from.output().empty()) return false;
    EXPECT_TRUE(to.receive({from.output().data(), from.output().size()}));
    from.output().clear();
    return true;
  }
  std::unique_ptr<http::OutgoingCall> post(std::span<const std::string_view> body) {
    return gateway.start({"POST", "/v1/chat/completions", headers, body}, wake);
  }
  // A call that the agent has, its head answered.
  std::pair<std::unique_ptr<http::OutgoingCall>, IncomingPtr> open_stream() {
    auto call = post({});
    pump();
    auto incoming = inbox.next();
    const http::Header type{"content-type", "text/event-stream"};
    incoming->begin(200, {&type, 1});
    pump();
    return {std::move(call), std::move(incoming)};
  }

  net::Loop loop;
  net::Signal wake{loop};
  std::atomic<std::size_t> buffered{0};
  Inbox inbox;
  SessionOptions options;
  GatewayTunnel gateway{loop, options};
  AgentTunnel agent{loop, options, BodyLimits{1024 * 1024, 2 * 1024 * 1024}, buffered, inbox};
  std::array<http::Header, 1> headers{http::Header{"content-type", "application/json"}};
};

}  // namespace sluice::tunnel
