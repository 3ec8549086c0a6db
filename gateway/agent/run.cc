#include "agent/run.h"

#include <sys/resource.h>

#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>

#include "agent/backend.h"
#include "agent/forwarder.h"
#include "agent/gateway_link.h"
#include "agent/server_endpoints.h"
#include "agent/telemetry.h"

namespace sluice::agent {
namespace {

constexpr std::chrono::seconds kTelemetryInterval{5};

// All that a running agent is made of, in the order in which it must die.
class Program final {
 public:
  Program(const RunOptions& options, std::span<const dialect::Endpoint> endpoints, Credentials credentials,
          BackendAccess backend)
      : options_(options),
        calls_(endpoints, options.allow),
        credentials_(std::move(credentials)),
        event_(loop_),
        tasks_(loop_, [](const char* what) { std::fprintf(stderr, "sluice agent: fault: %s\n", what); }),
        backend_(loop_, tasks_, std::move(backend), options_, asked_endpoints(endpoints, options.allow), reporter_),
        forwarder_(loop_, tasks_, backend_, reporter_, calls_),
        context_{loop_, tasks_, forwarder_, reporter_, credentials_, buffered_, {}},
        signals_(loop_.executor(), SIGTERM, SIGINT),
        telemetry_(loop_, kTelemetryInterval, [this](tunnel::Telemetry t) { reporter_.set_telemetry(std::move(t)); }) {
    context_.session.ping_interval = std::chrono::milliseconds(options.ping_interval_ms);
  }

  absl::Status add_gateways() {
    for (const std::string& gateway : credentials_.gateways()) {
      std::optional<http::BaseUrl> url = http::parse_base_url(gateway);
      if (!url || !url->tls) return absl::InvalidArgumentError(gateway + " in agent.json is not an https:// URL");
      links_.push_back(std::make_unique<GatewayLink>(context_, std::move(*url), options_.most_tunnels));
      links_.back()->watch(&event_);
    }
    return absl::OkStatus();
  }

  void run() {
    signals_.async_wait([this](boost::system::error_code ec, int) {
      if (ec) return;
      stopping_ = true;
      event_.notify();
    });
    backend_.watch_found(&event_);
    tasks_.spawn(backend_.watch());
    for (const auto& link : links_) link->start();
    tasks_.spawn(supervise());
    while (tasks_.running() != 0 && loop_.io().run_one() != 0) {
    }
  }

 private:
  Task<void> supervise() {
    while (!stopping_ && !(useful() && backend_.found())) (void)co_await event_.wait();
    if (!stopping_) {
      std::puts("ready");
      std::fflush(stdout);
    }
    while (!stopping_) (void)co_await event_.wait();
    for (const auto& link : links_) link->stop();
    backend_.stop();
    const net::Deadline deadline = net::Deadline::after(std::chrono::milliseconds(options_.grace_ms));
    while (tunnels() != 0 && !deadline.passed()) (void)co_await event_.wait(deadline);
    for (const auto& link : links_) link->cut();
    signals_.cancel();
  }

  [[nodiscard]] bool useful() const {
    return std::ranges::any_of(links_, [](const auto& link) { return link->useful(); });
  }
  [[nodiscard]] std::size_t tunnels() const {
    std::size_t count = 0;
    for (const auto& link : links_) count += link->tunnels();
    return count;
  }

  RunOptions options_;
  const ForwardedCalls calls_;
  Credentials credentials_;
  net::Loop loop_;
  net::Signal event_;
  net::TaskGroup tasks_;
  Reporter reporter_;
  std::atomic<std::size_t> buffered_{0};
  Backend backend_;
  Forwarder forwarder_;
  UplinkContext context_;
  std::vector<std::unique_ptr<GatewayLink>> links_;
  asio::basic_signal_set<Executor> signals_;
  TelemetrySampler telemetry_;
  bool stopping_ = false;
};

}  // namespace

int run(const RunOptions& options, std::span<const dialect::Endpoint> endpoints) {
  std::signal(SIGPIPE, SIG_IGN);
  constexpr rlimit kNoCore{0, 0};  // a core would hold prompts and answers
  ::setrlimit(RLIMIT_CORE, &kNoCore);
  absl::StatusOr<BackendAccess> backend = make_backend_access(options);
  if (!backend.ok()) {
    std::fprintf(stderr, "sluice agent: %s\n", std::string(backend.status().message()).c_str());
    return 2;
  }
  absl::StatusOr<Credentials> credentials = Credentials::load(options.dir);
  if (!credentials.ok()) {
    std::fprintf(stderr, "sluice agent: %s\n", std::string(credentials.status().message()).c_str());
    return 1;
  }
  Program program(options, endpoints, std::move(*credentials), *std::move(backend));
  if (const absl::Status status = program.add_gateways(); !status.ok()) {
    std::fprintf(stderr, "sluice agent: %s\n", std::string(status.message()).c_str());
    return 1;
  }
  program.run();
  return 0;
}

}  // namespace sluice::agent
