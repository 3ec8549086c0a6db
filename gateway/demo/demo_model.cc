#include "demo/demo_model.h"

#include <signal.h>

#include <iostream>
#include <list>
#include <thread>
#include <vector>

#include "demo/session.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/task_group.h"

namespace sluice::demo {
namespace {

// One thread: a loop, a listener on it, and the sessions of what it accepts.
class Server final {
 public:
  Server(Service& service, unsigned index)
      : service_(service),
        loop_(index),
        tasks_(loop_, [](const char* what) { std::cerr << "demo-model: " << what << '\n'; }) {}

  absl::Status open(const net::Endpoint& endpoint) {
    auto listener = net::Listener::open(loop_, endpoint);
    if (!listener.ok()) return listener.status();
    listener_ = std::move(*listener);
    return absl::OkStatus();
  }
  [[nodiscard]] const net::Endpoint& endpoint() const noexcept { return listener_->endpoint(); }

  void start() {
    tasks_.spawn(accept());
    thread_ = std::thread([this] { loop_.io().run(); });
  }

  // From another thread; returns when every session has ended.
  void stop() {
    if (!thread_.joinable()) return;
    loop_.post([this] {
      stopping_ = true;
      listener_->close();
      for (Session* session : sessions_) session->stop();
    });
    thread_.join();
  }

 private:
  Task<void> accept() {
    net::Listener::Accepted accepted = [this](net::Socket socket) {
      if (!stopping_) tasks_.spawn(serve(std::move(socket)));
    };
    co_await listener_->accept_all(std::move(accepted));
  }

  Task<void> serve(net::Socket socket) {
    if (stopping_) co_return;
    Session session(service_, loop_, std::make_unique<net::Stream>(loop_, std::move(socket)));
    const auto place = sessions_.insert(sessions_.end(), &session);
    co_await session.run();
    sessions_.erase(place);
  }

  Service& service_;
  net::Loop loop_;
  std::unique_ptr<net::Listener> listener_;
  std::list<Session*> sessions_;
  bool stopping_ = false;
  net::TaskGroup tasks_;
  std::thread thread_;
};

}  // namespace

struct DemoModel::State {
  explicit State(DemoOptions options) : service(std::move(options)) {}
  Service service;
  std::vector<std::unique_ptr<Server>> servers;
};

DemoModel::DemoModel(std::unique_ptr<State> state) : state_(std::move(state)) {}

DemoModel::~DemoModel() {
  for (auto& server : state_->servers) server->stop();
}

absl::StatusOr<std::unique_ptr<DemoModel>> DemoModel::start(DemoOptions options) {
  Faults faults;
  if (!faults.add(options.faults))
    return absl::InvalidArgumentError("unknown fault in '" + options.faults + "'; sluice demo-model --help lists them");
  absl::StatusOr<net::Endpoint> endpoint = net::resolve_listen_address(options.listen);
  if (!endpoint.ok()) return endpoint.status();
  auto state = std::make_unique<State>(std::move(options));
  if (const absl::Status free = net::check_free(*endpoint); !free.ok()) return free;
  for (unsigned i = 0; i < std::max(1U, state->service.options().threads); ++i) {
    state->servers.push_back(std::make_unique<Server>(state->service, i));
    if (const absl::Status opened = state->servers.back()->open(*endpoint); !opened.ok()) return opened;
    endpoint = state->servers.back()->endpoint();  // the port that the system picked, for the others
  }
  for (auto& server : state->servers) server->start();
  return std::unique_ptr<DemoModel>(new DemoModel(std::move(state)));
}

const net::Endpoint& DemoModel::endpoint() const noexcept { return state_->servers.front()->endpoint(); }
std::string DemoModel::stats() const { return state_->service.stats().json(); }

int run_demo_model(const DemoOptions& options) {
  // Blocked before the threads start, so that they inherit it and sigwait() below gets the signal.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const auto model = DemoModel::start(options);
  if (!model.ok()) {
    std::cerr << "sluice demo-model: " << model.status().message() << '\n';
    return 1;
  }
  std::cout << "listening on http://" << (*model)->endpoint() << std::endl;
  int received = 0;
  sigwait(&signals, &received);
  return 0;
}

}  // namespace sluice::demo
