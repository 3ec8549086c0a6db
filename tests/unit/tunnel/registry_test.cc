// Agents that come and go: hello, another worker, revocation, drain, calls.
#include "unit/tunnel/registry_fixture.h"

namespace sluice::tunnel {
namespace {

TEST_F(RegistryTest, AnAgentIsGreetedAndItsModelsAreOffered) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  EXPECT_EQ(agent.hello->gateway, "gw");
  EXPECT_EQ(agent.hello->workers, 2u);
  EXPECT_EQ(listener.models[0]->name(), "m");
  EXPECT_EQ(listener.models[0]->free_slots(), 2);
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  EXPECT_EQ(directory.remembered, std::vector<std::string>{"m"});
  const auto views = registry->list();
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(views[0].id, "agent-1");
  EXPECT_EQ(views[0].tunnels, 1u);
  EXPECT_EQ(views[0].version, "1.0");
}

TEST_F(RegistryTest, TheSecondTunnelGoesToTheWorkerThatHasNone) {
  EchoAgent& first = make_agent();
  EchoAgent& second = make_agent();
  connect(first);
  ASSERT_TRUE(run_until([&] { return first.health != nullptr; }));
  connect(second);
  ASSERT_TRUE(run_until([&] { return second.health != nullptr; }));
  EXPECT_EQ(first.hello->worker, 0u);
  EXPECT_EQ(second.hello->worker, 1u);
  EXPECT_EQ(registry->list()[0].tunnels_by_worker, (std::vector<std::uint32_t>{1, 1}));
}

TEST_F(RegistryTest, AWorkerWithoutATunnelCallsThroughOneThatHasIt) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  const std::string body(300'000, 'b');
  for (const unsigned worker : {0u, 1u}) {
    net::Signal wake(loops[worker]);
    const std::string_view part = body;
    auto call = registry->start(worker, *listener.agent, {"POST", "/v1/x", {}, {&part, 1}}, wake);
    std::string got;
    ASSERT_TRUE(run_until([&] {
      got += call->body().view();
      const std::size_t size = call->body().size();
      call->body().clear();
      call->taken(size);
      return call->state() != http::CallState::kRunning;
    }));
    EXPECT_EQ(call->state(), http::CallState::kEnded);
    got += call->body().view();
    EXPECT_EQ(got, body);
    EXPECT_EQ(call->head()->status, 200);
  }
  EXPECT_EQ(registry->remote_calls(), 1u);
}

TEST_F(RegistryTest, ARemoteCallGivenUpIsCancelledAtTheAgent) {
  EchoAgent& agent = make_agent();
  agent.holds = true;
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  net::Signal wake(loops[1]);
  auto call = registry->start(1, *listener.agent, {"POST", "/v1/x", {}, {}}, wake);
  ASSERT_TRUE(run_until([&] { return agent.held != nullptr; }));
  call.reset();
  EXPECT_TRUE(run_until([&] { return agent.held->gone(); }));
}

TEST_F(RegistryTest, RevokingCutsTheTunnelsAndNoneComesBack) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  directory.revoked = true;
  registry->revoke("agent-1");
  ASSERT_TRUE(run_until([&] { return tasks.running() == 0; }));
  EXPECT_TRUE(listener.models.empty());
  EXPECT_TRUE(listener.known.empty());
  EchoAgent& again = make_agent();
  connect(again);
  ASSERT_TRUE(run_until([&] { return tasks.running() == 0; }));
  EXPECT_FALSE(again.hello);
}

TEST_F(RegistryTest, WhatARevokedAgentStillSaysIsNotRemembered) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  // The line has arrived before the answer behind it; the control thread has not read it when the agent is revoked.
  const std::string late = encode(Health{2, {{"late", ModelState::kReady, 2, 0}}, {}, {}}) + "\n";
  agent.health->append(late);
  net::Signal wake(loops[0]);
  const auto call = registry->start(0, *listener.agent, {"POST", "/v1/x", {}, {}}, wake);
  ASSERT_TRUE(run_until([&] { return call->state() == http::CallState::kEnded; }, std::array{&loops[0], &loops[1]}));
  directory.revoked = true;
  registry->revoke("agent-1");
  ASSERT_TRUE(run_until([&] { return tasks.running() == 0; }));
  EXPECT_TRUE(listener.known.empty());
  EXPECT_EQ(directory.remembered, std::vector<std::string>{"m"});
}

TEST_F(RegistryTest, AnAgentThatLeavesIsWithdrawnAtOnceButItsModelsStayKnown) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  agent.holds = true;
  net::Signal wake(loops[0]);
  auto call = registry->start(0, *listener.agent, {"POST", "/v1/x", {}, {}}, wake);
  ASSERT_TRUE(run_until([&] { return agent.held != nullptr; }));
  agent.tunnel.leave();
  ASSERT_TRUE(run_until([&] { return listener.models.empty(); }));
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  EXPECT_EQ(call->state(), http::CallState::kRunning);
  agent.held->begin(200, {});
  IncomingCall::finish(std::move(agent.held));
  IncomingCall::finish(std::move(agent.health));
  ASSERT_TRUE(run_until([&] { return call->state() == http::CallState::kEnded; }));
  ASSERT_TRUE(run_until([&] { return tasks.running() == 0; }));
}

TEST_F(RegistryTest, ADrainAsksEveryAgentToGoElsewhere) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return agent.health != nullptr; }));
  registry->drain();
  ASSERT_TRUE(run_until([&] { return !agent.drains.empty(); }));
  EXPECT_EQ(agent.drains[0], DrainScope::kGateway);
}

// A ticket that an API connection got must not stand in for a certificate.
TEST_F(RegistryTest, ATicketOfAnApiConnectionOpensNoTunnel) {
  struct Probe {
    static Task<void> api(RegistryTest& test, SSL_CTX* context, SSL_SESSION** session) {
      auto stream =
          co_await net::Stream::connect(test.loops[0], test.acceptor.local_endpoint(), net::Deadline::after(5s));
      const Status status = co_await (*stream)->handshake_as_client(context, "127.0.0.1", net::Deadline::after(5s));
      EXPECT_TRUE(status);
      std::array<char, 16> into{};
      (void)co_await (*stream)->read_some(into, net::Deadline::after(200ms));  // the ticket comes with the first read
      *session = SSL_get1_session((*stream)->ssl());
    }
    static Task<void> serve_api(RegistryTest& test) {
      net::Socket socket(test.loops[0].executor());
      auto [ec] = co_await test.acceptor.async_accept(socket, use_task);
      EXPECT_FALSE(ec);
      net::Stream stream(test.loops[0], std::move(socket));
      const auto context = test.server_tls->context();
      const Status status = co_await stream.handshake_as_server(context.get(), net::Deadline::after(5s));
      EXPECT_TRUE(status);
      std::array<char, 16> into{};
      (void)co_await stream.read_some(into, net::Deadline::after(1s));
    }
    static Task<void> resume(RegistryTest& test, SSL_CTX* context, SSL_SESSION* session, bool* opened) {
      boost::system::error_code ec;
      asio::ip::tcp::socket socket(test.loops[0].io());
      socket.connect(test.acceptor.local_endpoint(), ec);
      socket.non_blocking(true, ec);
      net::SslPtr ssl(SSL_new(context));
      SSL_set_session(ssl.get(), session);
      SSL_set_fd(ssl.get(), static_cast<int>(socket.native_handle()));
      SSL_set_connect_state(ssl.get());
      for (int i = 0; i < 200; ++i) {
        const int outcome = SSL_do_handshake(ssl.get());
        if (outcome == 1) {
          char byte = 0;
          const int got = SSL_read(ssl.get(), &byte, 1);
          if (got == 1) *opened = true;  // the gateway's HTTP/2 preface
          if (got <= 0 && SSL_get_error(ssl.get(), got) != SSL_ERROR_WANT_READ) break;
        } else if (SSL_get_error(ssl.get(), outcome) != SSL_ERROR_WANT_READ) {
          break;
        }
        net::Signal nap(test.loops[0]);
        (void)co_await nap.wait(net::Deadline::after(10ms));
      }
    }
  };
  net::ClientTlsOptions options;
  options.ca_file = ca_file;
  options.alpn = {"http/1.1"};
  const auto api_context = *net::create_client_tls(options);
  options.alpn = {std::string(net::kTunnelAlpn)};
  const auto tunnel_context = *net::create_client_tls(options);
  SSL_SESSION* session = nullptr;
  tasks.spawn(Probe::serve_api(*this));
  tasks.spawn(Probe::api(*this, api_context.get(), &session));
  ASSERT_TRUE(run_until([&] { return tasks.running() == 0; }));
  ASSERT_NE(session, nullptr);
  ASSERT_EQ(SSL_SESSION_is_resumable(session), 1);
  bool opened = false;
  tasks.spawn(accept_one(0));
  tasks.spawn(Probe::resume(*this, tunnel_context.get(), session, &opened));
  ASSERT_TRUE(run_until([&] { return tasks.running() == 0; }));
  SSL_SESSION_free(session);
  EXPECT_FALSE(opened);
  EXPECT_TRUE(registry->list().empty());
}

}  // namespace
}  // namespace sluice::tunnel
