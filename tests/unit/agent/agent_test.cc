// A whole agent on one loop: between a gateway's registry over real TLS and a model server that the test plays.
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <fstream>

#include "agent/backend.h"
#include "agent/credentials.h"
#include "agent/forwarder.h"
#include "agent/gateway_link.h"
#include "net/certificates.h"
#include "net/tls_context.h"
#include "openai/endpoint.h"
#include "tunnel/gateway_tunnel.h"
#include "tunnel/registry.h"

namespace sluice::agent {
namespace {

using namespace std::chrono_literals;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

class Folder final {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, std::string_view content) const {
    const std::string file = path + "/" + name;
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }
  std::string path;
};

// A gateway that has two endpoints more than its agent, whose owner lets one of them through.
constexpr std::uint32_t kChat = 0, kOcr = 1, kVideos = 2;
const std::array<dialect::Endpoint, 3> kGatewayEndpoints{
    openai::endpoint_of(openai::EndpointId::kChatCompletions),
    dialect::Endpoint{.name = "ocr", .method = "POST", .path = "/v1/ocr"},
    dialect::Endpoint{.name = "videos", .method = "POST", .path = "/v1/videos"}};

std::string text(const net::KeyPem& key) { return {key.data(), key.size()}; }

class Directory final : public tunnel::AgentDirectory {
 public:
  std::optional<tunnel::KnownAgent> find(X509& certificate) const noexcept override {
    const auto read = net::read_certificate(&certificate);
    fingerprints.push_back(read->fingerprint);
    return tunnel::KnownAgent{read->common_name, read->common_name, {}};
  }
  void renew(const std::string& id, std::string csr, Signed done) noexcept override {
    ++renewals;
    done(net::sign_client_request(*ca, csr, id, std::chrono::hours(24 * 30)));
  }
  void remember(const std::string&, const std::vector<std::string>&) noexcept override {}
  net::KeyAndCertificate* ca = nullptr;
  mutable std::vector<std::string> fingerprints;
  int renewals = 0;
};

class Listener final : public tunnel::AgentListener {
 public:
  void offered(const tunnel::AgentPtr& by, const std::vector<tunnel::AgentModelPtr>& offers) noexcept override {
    agent = by;
    models.clear();
    for (const auto& model : offers) models.push_back(model->name());
  }
  void withdrawn(const tunnel::AgentPtr&) noexcept override { models.clear(); }
  void remembered(const std::map<std::string, tunnel::Remembered>&) noexcept override {}
  tunnel::AgentPtr agent;
  std::vector<std::string> models;
};

// One connection that the model server accepted, under the test's control.
struct Connection {
  explicit Connection(net::Loop& loop, net::Socket socket) : stream(loop, std::move(socket)) {}
  net::Stream stream;
  std::string request;
  bool closed = false;
};

// A model server: answers GET /v1/models with `models`, keeps what else comes for the test.
class ModelServer final {
 public:
  ModelServer(net::Loop& loop, net::TaskGroup& tasks)
      : loop_(loop), tasks_(tasks), acceptor_(loop.executor(), {asio::ip::address_v4::loopback(), 0}) {}
  void start() { tasks_.spawn(accept()); }
  void stop() {
    acceptor_.close();
    for (auto& connection : connections) connection->stream.close();
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  std::string models = R"({"data":[{"id":"m"}]})";
  std::vector<std::unique_ptr<Connection>> connections;
  std::vector<Connection*> calls;

 private:
  Task<void> accept() {
    for (;;) {
      net::Socket socket(loop_.executor());
      auto [ec] = co_await acceptor_.async_accept(socket, use_task);
      if (ec) co_return;
      connections.push_back(std::make_unique<Connection>(loop_, std::move(socket)));
      tasks_.spawn(serve(*connections.back()));
    }
  }
  Task<void> serve(Connection& connection) {
    std::array<char, 4096> block{};
    for (;;) {
      const auto got = co_await connection.stream.read_some(block, net::Deadline::never());
      if (!got || *got == 0) break;
      connection.request.append(block.data(), *got);
      if (connection.request.find("\r\n\r\n") == std::string::npos) continue;
      if (connection.request.starts_with("GET /v1/models ")) {
        connection.request.clear();
        const std::string answer =
            "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(models.size()) + "\r\n\r\n" + models;
        (void)co_await connection.stream.write(answer, net::Deadline::after(5s));
      } else if (std::ranges::find(calls, &connection) == calls.end()) {
        calls.push_back(&connection);
      }
    }
    connection.closed = true;
    connection.stream.close();
  }

  net::Loop& loop_;
  net::TaskGroup& tasks_;
  Acceptor acceptor_;
};

class AgentTest : public testing::Test {
 public:
  AgentTest() {
    ca = *net::create_ca("agents", 24h);
    directory.ca = &ca;
    const std::array<std::string, 1> names{"127.0.0.1"};
    const auto server = *net::create_server_certificate(ca, names, 24h);
    net::ServerTlsOptions tls;
    tls.certificate_file = folder.write("server.pem", server.certificate);
    tls.key_file = folder.write("server.key", text(server.key));
    tls.tunnel_ca = ca.certificate;
    server_tls = std::move(*net::ServerTls::create(tls));
    registry->listen(listener);
    gateway_side.spawn(accept_tunnels());
    model_server.start();
  }

  // Pairs without the gateway's endpoint, and starts.
  void start_agent(std::chrono::seconds certificate_life = 24h) {
    const auto key = make_key();
    const auto csr = make_csr(**key, "agent-1");
    const auto certificate = net::sign_client_request(ca, *csr, "agent-1", certificate_life);
    const std::string url = "https://127.0.0.1:" + std::to_string(gateway_port);
    ASSERT_TRUE(Credentials::create(folder.path, **key, *certificate, ca.certificate, "agent-1", {url}).ok());
    auto loaded = Credentials::load(folder.path);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    credentials = std::make_unique<Credentials>(std::move(*loaded));
    options.poll_interval_ms = 100;
    options.slots = 64;
    options.backend = "http://127.0.0.1:" + std::to_string(model_server.port());
    backend = std::make_unique<Backend>(loop, agent_side, *make_backend_access(options), options,
                                        std::vector<dialect::Endpoint>(), reporter);
    forwarder = std::make_unique<Forwarder>(loop, agent_side, *backend, reporter, calls);
    context = std::make_unique<UplinkContext>(
        UplinkContext{loop, agent_side, *forwarder, reporter, *credentials, buffered, {}});
    link = std::make_unique<GatewayLink>(*context, *http::parse_base_url(url), 8);
    agent_side.spawn(backend->watch());
    link->start();
  }

  ~AgentTest() override {
    if (link) {
      link->stop();
      link->cut();
      backend->stop();
    }
    acceptor.close();
    closing.spawn(registry->close(0));
    by_hand.close();
    model_server.stop();
    EXPECT_TRUE(run_until([&] {
      return agent_side.running() + gateway_side.running() + closing.running() + server_side.running() == 0;
    }));
  }

  template <class Done>
  bool run_until(const Done& done) {
    const MonoTime limit = Mono::now() + 10s;
    while (!done()) {
      if (Mono::now() > limit) return false;
      loop.io().restart();
      loop.io().run_one_for(50ms);
    }
    return true;
  }

  Task<void> accept_tunnels() {
    for (;;) {
      net::Socket socket(loop.executor());
      auto [ec] = co_await acceptor.async_accept(socket, use_task);
      if (ec) co_return;
      auto stream = std::make_unique<net::Stream>(loop, std::move(socket));
      const auto tls = server_tls->context();
      const Status status = co_await stream->handshake_as_server(tls.get(), net::Deadline::after(5s));
      if (!status) continue;
      if (keeps_next) {
        kept = std::move(stream);
      } else {
        registry->accept(0, std::move(stream));
      }
    }
  }

  std::unique_ptr<http::OutgoingCall> post(std::string_view path, std::span<const std::string_view> body) {
    return registry->start(0, *listener.agent, {"POST", path, headers, body}, wake);
  }
  bool send(Connection& connection, std::string_view bytes) {
    return connection.stream.try_write(bytes).value() == bytes.size();
  }

  static tunnel::RegistryOptions registry_options() {
    tunnel::RegistryOptions options{{}, "gw", "gen", 8, 10'000ms, 35'000ms};
    options.endpoints = kGatewayEndpoints;
    return options;
  }

  net::Loop loop;
  Folder folder;
  net::KeyAndCertificate ca;
  std::unique_ptr<net::ServerTls> server_tls;
  Directory directory;
  Listener listener;
  observe::Log log{{observe::Level::kError}};
  std::unique_ptr<tunnel::Registry> registry =
      std::make_unique<tunnel::Registry>(loop, std::vector<net::Loop*>{&loop}, registry_options(), directory, log);
  Acceptor acceptor{loop.executor(), {asio::ip::address_v4::loopback(), 0}};
  std::uint16_t gateway_port = acceptor.local_endpoint().port();
  net::TaskGroup server_side{loop, [](const char* what) { ADD_FAILURE() << what; }};
  net::TaskGroup gateway_side{loop, [](const char* what) { ADD_FAILURE() << what; }};
  net::TaskGroup agent_side{loop, [](const char* what) { ADD_FAILURE() << what; }};
  net::TaskGroup closing{loop, [](const char* what) { ADD_FAILURE() << what; }};
  ModelServer model_server{loop, server_side};
  bool keeps_next = false;  // instead of handing a tunnel's stream to the registry
  std::unique_ptr<net::Stream> kept;
  tunnel::GatewayTunnel by_hand{loop, tunnel::SessionOptions{}};  // what a test runs on it
  std::array<http::Header, 1> headers{http::Header{"content-type", "application/json"}};
  net::Signal wake{loop};
  RunOptions options;
  Reporter reporter;
  std::atomic<std::size_t> buffered{0};
  std::unique_ptr<Credentials> credentials;
  std::unique_ptr<Backend> backend;
  const ForwardedCalls calls{openai::endpoints(), {"POST /v1/ocr"}};
  std::unique_ptr<Forwarder> forwarder;
  std::unique_ptr<UplinkContext> context;
  std::unique_ptr<GatewayLink> link;
};

TEST_F(AgentTest, StreamsAnAnswerPieceByPiece) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return listener.models == std::vector<std::string>{"m"}; }));
  const std::array<std::string_view, 2> body{"{\"model\":\"m\"", "}"};
  auto call = post("/v1/chat/completions", body);
  ASSERT_TRUE(run_until([&] { return model_server.calls.size() == 1; }));
  Connection& server = *model_server.calls[0];
  ASSERT_TRUE(run_until([&] { return server.request.ends_with("{\"model\":\"m\"}"); }));
  EXPECT_TRUE(server.request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
  ASSERT_TRUE(send(server, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"));
  ASSERT_TRUE(run_until([&] { return call->head() != nullptr; }));
  EXPECT_EQ(call->head()->content_type, "text/event-stream");
  for (const std::string_view event : {"data: a\n\n", "data: b\n\n"}) {
    ASSERT_TRUE(send(server, "9\r\n" + std::string(event) + "\r\n"));
    ASSERT_TRUE(run_until([&] { return !call->body().empty(); }));
    EXPECT_EQ(call->body().view(), event);
    call->body().clear();
    call->taken(event.size());
  }
  ASSERT_TRUE(send(server, "0\r\n\r\n"));
  ASSERT_TRUE(run_until([&] { return call->state() == http::CallState::kEnded; }));
  EXPECT_TRUE(run_until([&] { return reporter.running() == 0 && buffered.load() == 0; }));
}

TEST_F(AgentTest, ACallGivenUpClosesTheConnectionToTheModelServerWithin50Milliseconds) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  auto call = post("/v1/chat/completions", {});
  ASSERT_TRUE(run_until([&] { return model_server.calls.size() == 1; }));
  ASSERT_TRUE(send(*model_server.calls[0], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
  ASSERT_TRUE(run_until([&] { return !call->body().empty(); }));
  const MonoTime gone = Mono::now();
  call.reset();
  ASSERT_TRUE(run_until([&] { return model_server.calls[0]->closed; }));
  EXPECT_LT(Mono::now() - gone, 50ms);
}

TEST_F(AgentTest, AModelServerThatDiesInTheMiddleFailsTheCallBehindItsLastBytes) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  auto call = post("/v1/chat/completions", {});
  ASSERT_TRUE(run_until([&] { return model_server.calls.size() == 1; }));
  ASSERT_TRUE(send(*model_server.calls[0], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
  model_server.calls[0]->stream.close();
  ASSERT_TRUE(run_until([&] { return call->state() == http::CallState::kFailed; }));
  EXPECT_EQ(call->body().view(), "abc");
  EXPECT_EQ(call->error().retry, Retry::kNo);
}

TEST_F(AgentTest, PathsThatAreNotOfTheDialectNeverReachTheModelServer) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  for (const std::string_view path : {"/api/pull", "/v1/chat/completions/", "/slots", "/v1/../x", "/v1/models"}) {
    auto call = post(path, {});
    ASSERT_TRUE(run_until([&] { return call->state() == http::CallState::kFailed; })) << path;
  }
  EXPECT_TRUE(model_server.calls.empty());
}

TEST_F(AgentTest, TheGatewayHearsWhichEndpointsTheAgentHasAndWhatItsOwnerAllowsBesideThem) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  EXPECT_TRUE(listener.agent->takes(kChat));
  EXPECT_TRUE(listener.agent->takes(kOcr)) << "POST /v1/ocr was allowed";
  EXPECT_FALSE(listener.agent->takes(kVideos));
  auto refused = post("/v1/videos", {});
  ASSERT_TRUE(run_until([&] { return refused->state() == http::CallState::kFailed; }));
  EXPECT_TRUE(model_server.calls.empty());
  auto call = post("/v1/ocr", {});
  ASSERT_TRUE(run_until([&] { return model_server.calls.size() == 1; }));
}

TEST_F(AgentTest, AModelServerThatGoesIsReportedAndOneThatComesBackIsToo) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  model_server.models = "<html>hello</html>";  // LM Studio answers 200 to anything
  ASSERT_TRUE(run_until([&] { return listener.models.empty(); }));
  model_server.models = R"({"data":[{"id":"m"},{"id":"n"}]})";
  ASSERT_TRUE(run_until([&] { return listener.models.size() == 2; }));
}

TEST_F(AgentTest, DrainingOpensTheReplacementFirst) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  auto call = post("/v1/chat/completions", {});
  ASSERT_TRUE(run_until([&] { return model_server.calls.size() == 1; }));
  registry->drain();
  // Never without a usable tunnel, and the running call stays.
  std::size_t least = 9;
  ASSERT_TRUE(run_until([&] {
    least = std::min<std::size_t>(least, registry->list()[0].tunnels);
    return link->tunnels() == 2 && registry->list()[0].tunnels == 1;
  }));
  EXPECT_GE(least, 1u);
  EXPECT_FALSE(listener.models.empty());
  ASSERT_TRUE(send(*model_server.calls[0], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"));
  ASSERT_TRUE(run_until([&] { return call->state() == http::CallState::kEnded; }));
  ASSERT_TRUE(run_until([&] { return link->tunnels() == 1; }));
}

TEST_F(AgentTest, ATunnelLeavesOnceTheGatewayCallsOnItsReplacementAndNotAtItsHello) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  keeps_next = true;
  registry->drain();
  ASSERT_TRUE(run_until([&] { return kept != nullptr; }));
  gateway_side.spawn(by_hand.run(std::move(kept)));
  const std::string hello = encode(tunnel::Hello{"gw", "gen", 1, 0, 1, 10'000, {}});
  const std::string_view part = hello;
  const auto greeting = by_hand.start({"POST", tunnel::kHelloPath, headers, {&part, 1}}, wake);
  ASSERT_TRUE(run_until([&] { return greeting->state() == http::CallState::kEnded; }));
  auto call = post("/v1/chat/completions", {});
  ASSERT_TRUE(run_until([&] { return model_server.calls.size() == 1; })) << "no tunnel takes a call";
  const auto health = by_hand.start({"POST", tunnel::kHealthPath, headers, {}}, wake);
  ASSERT_TRUE(run_until([&] { return registry->list()[0].tunnels == 0; }));
}

TEST_F(AgentTest, ComesBackWithinMomentsOfALoss) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  registry->revoke("agent-1");  // cuts the tunnel; this directory would take the agent back
  ASSERT_TRUE(run_until([&] { return listener.models.empty(); }));
  const MonoTime lost = Mono::now();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  EXPECT_LT(Mono::now() - lost, 1s);
}

TEST_F(AgentTest, ACertificateIsRenewedAtTwoThirdsOfItsLifeAndUsedForTheNextTunnel) {
  start_agent(60s);  // signed with a margin before now, so two thirds have passed
  const ContextPtr first = credentials->context();
  ASSERT_TRUE(run_until([&] { return credentials->context() != first; }));
  const auto before = directory.fingerprints;
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  registry->revoke("agent-1");
  ASSERT_TRUE(run_until([&] { return directory.fingerprints.size() > before.size(); }));
  EXPECT_NE(directory.fingerprints.back(), before.back());
  EXPECT_EQ(directory.renewals, 1);
}

TEST_F(AgentTest, LeavesWhenToldAndLetsRunningCallsEnd) {
  start_agent();
  ASSERT_TRUE(run_until([&] { return !listener.models.empty(); }));
  auto call = post("/v1/chat/completions", {});
  ASSERT_TRUE(run_until([&] { return model_server.calls.size() == 1; }));
  link->stop();
  ASSERT_TRUE(run_until([&] { return listener.models.empty(); }));
  ASSERT_TRUE(send(*model_server.calls[0], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"));
  ASSERT_TRUE(run_until([&] { return call->state() == http::CallState::kEnded; }));
  EXPECT_EQ(call->body().view(), "abc");
  EXPECT_TRUE(run_until([&] { return link->tunnels() == 0; }));
}

TEST(BackoffTest, GrowsWithFullJitterUpToItsBounds) {
  Backoff backoff;
  const MonoTime now = Mono::now();
  EXPECT_LE(backoff.next(now, ~0ULL, 5s), 100ms);
  std::chrono::milliseconds longest{0};
  for (std::uint64_t i = 0; i < 1000; ++i) longest = std::max(longest, backoff.next(now + 30s, i * 7919, 5s));
  EXPECT_GT(longest, 4s);
  EXPECT_LE(longest, 5s);
  longest = 0ms;
  for (std::uint64_t i = 0; i < 1000; ++i) longest = std::max(longest, backoff.next(now + 61s, i * 7919, 5s));
  EXPECT_GT(longest, 6s);
  EXPECT_LE(longest, 30s);
  backoff.reset();
  EXPECT_LE(backoff.next(now, ~0ULL, 5s), 100ms);
}

TEST(BackoffTest, ObeysTheCapOfTheGateway) {
  Backoff backoff;
  const MonoTime now = Mono::now();
  for (std::uint64_t i = 0; i < 1000; ++i) EXPECT_LE(backoff.next(now + 30s, i * 7919, 300ms), 300ms);
  std::chrono::milliseconds longest{0};
  for (std::uint64_t i = 0; i < 1000; ++i) longest = std::max(longest, backoff.next(now + 61s, i * 7919, 2min));
  EXPECT_GT(longest, 30s) << "a longer one holds later as well";
}

}  // namespace
}  // namespace sluice::agent
