// The admin API's sockets: a Unix socket that only its owner may open, and, if the conf says so, a TCP endpoint for
// metrics alone. Both are served by http/, as everything else is: requests one after another on a connection, heads, bodies
// and times bounded. Each has connections of its own, so that neither keeps the other out.
//
// What a request does it does here, on the control thread, but for what may take long: a store that another program holds
// locked is waited for between turns of the loop, and an export reads on a thread of its own (store_thread.h).
#pragma once

#include <absl/status/status.h>

#include <array>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <memory>
#include <set>
#include <string>

#include "admin/routes.h"
#include "http/incoming.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/task_group.h"
#include "observe/log.h"

namespace sluice::admin {

// Thread:   control thread, whose loop it runs on.
// Lifetime: stop() before destruction; the backend outlives it.
class AdminServer final {
 public:
  AdminServer(net::Loop& loop, AdminBackend backend, observe::Log& log);
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  ~AdminServer();

  // Opens the socket; start() begins to answer. kFailedPrecondition: another gateway answers there, the folder is
  // missing, the path is too long, … A socket file that nobody listens on is replaced.
  absl::Status listen(const std::string& socket_path);
  // A socket for GET /metrics and nothing else, on HOST:PORT. Loopback or a management network: it asks for no key.
  class MetricsSocket;
  using MetricsPtr = std::shared_ptr<MetricsSocket>;  // shared with the task that accepts from it
  [[nodiscard]] absl::StatusOr<MetricsPtr> open_metrics(const std::string& address);
  // Metrics are given there from now on, and nowhere else; null: nowhere.
  void use_metrics(MetricsPtr socket);
  // Answers what comes to the sockets that are open. Until then no task runs, and the server may simply go.
  void start();
  // Where metrics are given; port 0 was given: the one that the system picked. 0: nowhere.
  [[nodiscard]] std::uint16_t metrics_port() const noexcept;

  // Closes the sockets, ends what is running, removes the socket file.
  Task<void> stop();

  using LocalSocket = asio::basic_stream_socket<asio::local::stream_protocol, Executor>;

 private:
  enum class Surface : std::uint8_t { kAdmin, kMetrics };
  static constexpr std::size_t kMaxConnections = 64;  // of each
  using OpenStreams = std::set<net::Stream*>;
  using LocalAcceptor = asio::basic_socket_acceptor<asio::local::stream_protocol, Executor>;

  template <class Acceptor>
  Task<void> accept(std::shared_ptr<Acceptor> acceptor, Surface surface);
  Task<void> serve(std::unique_ptr<net::Stream> stream, Surface surface, Principal who);
  Task<void> refuse_head(http::Incoming& client, Error error);
  Task<Answer> answer_to(http::Incoming& client, Surface surface, const Principal& who);
  Task<Status> send(http::Incoming& client, Answer answer);

  net::Loop& loop_;
  Routes routes_;
  StoreThread& store_thread_;
  observe::Log& log_;
  net::TaskGroup tasks_;
  std::string socket_path_;
  std::shared_ptr<LocalAcceptor> local_;  // shared with the task that accepts from it
  MetricsPtr metrics_;
  std::array<OpenStreams, 2> open_;  // by surface
  bool started_ = false;
  bool stopping_ = false;
};

}  // namespace sluice::admin
