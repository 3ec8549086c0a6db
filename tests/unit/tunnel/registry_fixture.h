// The registry with agents over real TLS on loopback.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

#include "net/certificates.h"
#include "net/tls_context.h"
#include "tunnel/agent_tunnel.h"
#include "tunnel/registry.h"

namespace sluice::tunnel {

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

inline std::string text(const net::KeyPem& key) { return {key.data(), key.size()}; }

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

}  // namespace sluice::tunnel
