// The registry with agents over real TLS on loopback: hello, health, moving to another worker, revocation, calls.
#include "tunnel/registry.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

#include "net/certificates.h"
#include "net/tls_context.h"
#include "tunnel/agent_tunnel.h"

namespace {
std::function<void()> when_giving_way;
}

// In libc's place: what happens while somebody lets others run.
int sched_yield() noexcept {
  if (const auto run = std::exchange(when_giving_way, nullptr)) run();
  return 0;
}

namespace sluice::tunnel {
namespace {

using namespace std::chrono_literals;

class Folder final {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, std::string_view content) const {
    const std::string path = (path_ / name).string();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  std::filesystem::path path_;
};

std::string text(const net::KeyPem& key) { return {key.data(), key.size()}; }

// Every certificate of the CA is an agent's, by its common name, unless it was revoked.
class Directory final : public AgentDirectory {
 public:
  std::optional<KnownAgent> find(X509& certificate) const noexcept override {
    const auto read = net::read_certificate(&certificate);
    if (!read.ok() || revoked) return std::nullopt;
    return KnownAgent{read->common_name, "name of " + read->common_name, binding};
  }
  void renew(const std::string&, std::string csr, Signed done) noexcept override { done("signed " + csr); }
  void remember(const std::string&, const std::vector<std::string>& models) noexcept override { remembered = models; }
  std::atomic<bool> revoked{false};
  identity::Binding binding;
  std::vector<std::string> remembered;
};

class Listener final : public AgentListener {
 public:
  void offered(const AgentPtr& by, const std::vector<AgentModelPtr>& offered_models) noexcept override {
    agent = by;
    models = offered_models;
  }
  void withdrawn(const AgentPtr&) noexcept override { models.clear(); }
  void remembered(const std::map<std::string, Remembered>& by_agent) noexcept override {
    known.clear();
    for (const auto& [id, remembered] : by_agent) known.insert(remembered.models.begin(), remembered.models.end());
  }
  AgentPtr agent;
  std::vector<AgentModelPtr> models;
  std::set<std::string> known;
};

// An agent that answers hello and health, and echoes a call's body in pieces.
class EchoAgent final : public CallHandler {
 public:
  EchoAgent(net::Loop& loop, std::string boot)
      : boot_(std::move(boot)), tunnel(loop, {}, BodyLimits{}, buffered, *this) {}
  void handle(IncomingPtr call) noexcept override {
    if (call->head().target == kHelloPath) {
      hello = decode_hello(call->body());
      call->begin(200, {});
      call->append(encode(HelloAnswer{"1.0", boot_, 1}));
      IncomingCall::finish(std::move(call));
    } else if (call->head().target == kHealthPath) {
      call->begin(200, {});
      call->append(line);
      health = std::move(call);
    } else if (call->head().target == kDrainPath) {
      drains.push_back(*decode_drain(call->body()));
      call->begin(200, {});
      IncomingCall::finish(std::move(call));
    } else {
      ++calls;
      if (holds) {
        held = std::move(call);
        return;
      }
      call->begin(200, {});
      call->append(call->body());
      IncomingCall::finish(std::move(call));
    }
  }
  std::string boot_;
  std::string line = encode(Health{1, {{"m", ModelState::kReady, 2, 0}}, {}, {}}) + "\n";
  std::atomic<std::size_t> buffered{0};
  std::optional<Hello> hello;
  IncomingPtr health;
  IncomingPtr held;
  std::vector<DrainScope> drains;
  bool holds = false;
  int calls = 0;
  AgentTunnel tunnel;
};

class RegistryTest : public testing::Test {
 public:
  RegistryTest() {
    auto ca = net::create_ca("agents", 24h);
    agents_ca = *ca;
    const std::array<std::string, 1> names{"127.0.0.1"};
    auto server = net::create_server_certificate(agents_ca, names, 24h);
    net::ServerTlsOptions options;
    options.certificate_file = folder.write("server.pem", server->certificate);
    options.key_file = folder.write("server.key", text(server->key));
    options.tunnel_ca = agents_ca.certificate;
    server_tls = std::move(*net::ServerTls::create(options));
    ca_file = folder.write("ca.pem", agents_ca.certificate);
    registry->listen(listener);
    acceptor.listen();
  }

  ~RegistryTest() override {
    net::TaskGroup closing(loops[0], [](const char* what) { ADD_FAILURE() << what; });
    net::TaskGroup closing1(loops[1], [](const char* what) { ADD_FAILURE() << what; });
    closing.spawn(registry->close(0));
    closing1.spawn(registry->close(1));
    EXPECT_TRUE(run_until([&] { return closing.running() == 0 && closing1.running() == 0 && tasks.running() == 0; }));
  }

  // All loops, turn by turn on this thread.
  template <class Done>
  bool run_until(const Done& done) {
    return run_until(done, std::array{&loops[0], &loops[1], &control});
  }

  template <class Done>
  bool run_until(const Done& done, std::span<net::Loop* const> running) {
    const MonoTime limit = Mono::now() + 10s;
    while (!done()) {
      if (Mono::now() > limit) return false;
      for (net::Loop* loop : running) {
        loop->io().restart();
        loop->io().run_one_for(1ms);
        loop->io().poll();
      }
    }
    return true;
  }

  std::shared_ptr<SSL_CTX> client_context(const std::string& name, std::vector<std::string> alpn) {
    auto request = net::create_request(name);
    auto certificate = net::sign_client_request(agents_ca, request->request, name, std::chrono::hours(1));
    net::ClientTlsOptions options;
    options.ca_file = ca_file;
    options.certificate_file = folder.write(name + ".pem", *certificate);
    options.key_file = folder.write(name + ".key", text(request->key));
    options.alpn = std::move(alpn);
    return *net::create_client_tls(options);
  }

  Task<void> accept_one(unsigned worker) {
    net::Loop& loop = loops[worker];
    net::Socket socket(loop.executor());
    auto [ec] = co_await acceptor.async_accept(socket, use_task);
    EXPECT_FALSE(ec);
    // Accepted on the first loop's executor, served by `worker`.
    auto stream = std::make_unique<net::Stream>(loop, std::move(socket));
    const auto context = server_tls->context();
    const Status status = co_await stream->handshake_as_server(context.get(), net::Deadline::after(5s));
    if (!status || stream->alpn() != net::kTunnelAlpn) co_return;
    registry->accept(worker, std::move(stream));
  }

  Task<void> dial(std::shared_ptr<SSL_CTX> context, EchoAgent& agent) {
    auto stream = co_await net::Stream::connect(loops[0], acceptor.local_endpoint(), net::Deadline::after(5s));
    EXPECT_TRUE(stream);
    const Status status = co_await (*stream)->handshake_as_client(context.get(), "127.0.0.1", net::Deadline::after(5s));
    EXPECT_TRUE(status);
    if (status) co_await agent.tunnel.run(std::move(*stream));
  }

  // Kept until the registry has closed.
  EchoAgent& make_agent() {
    agents.push_back(std::make_unique<EchoAgent>(loops[0], "b"));
    return *agents.back();
  }

  void connect(EchoAgent& agent, const std::string& name = "agent-1") {
    tasks.spawn(accept_one(0));
    tasks.spawn(dial(client_context(name, {std::string(net::kTunnelAlpn)}), agent));
  }

  std::array<net::Loop, 2> loops{net::Loop(0), net::Loop(1)};
  net::Loop control{2};
  Folder folder;
  net::KeyAndCertificate agents_ca;
  std::string ca_file;
  std::unique_ptr<net::ServerTls> server_tls;
  Directory directory;
  observe::Log log{{observe::Level::kError}};
  Listener listener;
  std::unique_ptr<Registry> registry =
      std::make_unique<Registry>(control, std::vector<net::Loop*>{&loops[0], &loops[1]},
                                 RegistryOptions{{}, "gw", "gen", 8, 10'000ms, 35'000ms}, directory, log);
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor{loops[0].executor(),
                                                                {asio::ip::address_v4::loopback(), 0}};
  std::vector<std::unique_ptr<EchoAgent>> agents;
  net::TaskGroup tasks{loops[0], [](const char* what) { ADD_FAILURE() << what; }};
};

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

TEST_F(RegistryTest, SlotsFollowWhatTheAgentSays) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  AgentModel& model = *listener.models[0];
  EXPECT_TRUE(model.take_slot());
  EXPECT_TRUE(model.take_slot());
  EXPECT_FALSE(model.take_slot());
  const std::string more = encode(Health{2, {{"m", ModelState::kReady, 3, 0}}, {}, {}}) + "\n";
  agent.health->append(more);
  ASSERT_TRUE(run_until([&] { return model.free_slots() == 1; }));
  const std::string away = encode(Health{3, {{"m", ModelState::kUnavailable, 3, 0}}, {}, {}}) + "\n";
  agent.health->append(away);
  ASSERT_TRUE(run_until([&] { return listener.models.empty(); }));
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  model.free_slot();
  model.free_slot();
}

TEST_F(RegistryTest, WhatAnAgentIsNotBoundToIsNotOfferedAndItsSlotsAreClamped) {
  directory.binding = {.which = identity::BoundModels::kListed, .models = {"m"}, .tenants = {4}};
  registry->set_limits({.default_slots = 64, .most_slots = 5, .most_models = 10});
  EchoAgent& agent = make_agent();
  agent.line = encode(Health{1, {{"m", ModelState::kReady, 9'000, 0}, {"n", ModelState::kReady, 2, 0}}, {}, {}}) + "\n";
  connect(agent);
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  ASSERT_EQ(listener.models.size(), 1u);
  EXPECT_EQ(listener.models[0]->name(), "m");
  EXPECT_EQ(listener.models[0]->capacity(), 5);
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  EXPECT_TRUE(listener.agent->binding().serves(4));
  EXPECT_FALSE(listener.agent->binding().serves(5));
  EXPECT_EQ(registry->list()[0].refused, std::vector<std::string>{"n"});
}

// The control thread gives way to the workers inside it; a worker that then waited for a lock would have gained nothing.
TEST_F(RegistryTest, NothingIsHeldWhileALongLineIsRead) {
  registry->set_limits({.default_slots = 64, .most_slots = 64, .most_models = 10'000});
  EchoAgent& agent = make_agent();
  Health health{1, {}, {}, {}};
  for (int i = 0; i < 2'000; ++i) health.models.push_back({std::to_string(i), {}, 1, 0});
  agent.line = encode(health) + "\n";
  bool gave_way = false;
  std::future<std::size_t> listed;
  when_giving_way = [&] {
    gave_way = true;
    listed = std::async(std::launch::async, [&] { return registry->list().size(); });
    EXPECT_EQ(listed.wait_for(10s), std::future_status::ready);
  };
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 2'000; }));
  EXPECT_TRUE(gave_way);
}

TEST_F(RegistryTest, ALineThatIsLongerThanTheWindowIsReadAndTheTunnelLives) {
  registry->set_limits({.default_slots = 64, .most_slots = 64, .most_models = 10'000});
  EchoAgent& agent = make_agent();
  Health health{1, {}, {}, {}};
  for (int i = 0; i < 2'000; ++i) health.models.push_back({std::string(200, 'x') + std::to_string(i), {}, 1, 0});
  agent.line = encode(health) + "\n";
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 2'000; }));
  health.sequence = 2;
  health.models.resize(1'500);
  const std::string shorter = encode(health) + "\n";
  agent.health->append(shorter);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1'500; }));
  EXPECT_EQ(registry->list()[0].tunnels, 1u);
}

TEST_F(RegistryTest, ModelsOfAnAgentThatStaysAwayAreForgotten) {
  EchoAgent& agent = make_agent();
  connect(agent);
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 1; }));
  const WallTime now = SystemClock().wall();
  registry->forget(now + std::chrono::hours(48), std::chrono::hours(24));  // it is there
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  agent.tunnel.close();
  ASSERT_TRUE(run_until([&] { return listener.models.empty(); }));
  registry->forget(now + std::chrono::hours(71), std::chrono::hours(24));
  EXPECT_EQ(listener.known, std::set<std::string>{"m"});
  registry->forget(now + std::chrono::hours(73), std::chrono::hours(24));
  EXPECT_TRUE(listener.known.empty());
  EXPECT_TRUE(directory.remembered.empty());
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
