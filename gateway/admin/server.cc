#include "admin/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/basic_waitable_timer.hpp>
#include <cstring>
#include <optional>
#include <utility>

#include "http/h1/server_connection.h"
#include "net/listener.h"

namespace sluice::admin {
namespace {

constexpr std::size_t kBodyLimit = 1024 * 1024;
constexpr std::size_t kSecretFrame = std::string_view(R"("key":"",)").size();
constexpr std::chrono::seconds kBodyTime{10};

http::ConnectionLimits connection_limits() noexcept {
  http::ConnectionLimits limits;
  limits.head_bytes = 16 * 1024;
  limits.body_gap = kBodyTime;
  return limits;
}

// kBodyLimit and the number of connections bound them.
class SmallBody final : public http::Incoming::Reserve {
 public:
  bool grow(std::size_t) noexcept override { return true; }
};

// The user at the other end of a Unix socket, if it is the one that the gateway runs as, or root.
std::optional<Principal> owner_at(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  if (peer.uid != ::geteuid() && peer.uid != 0) return std::nullopt;
  return Principal::socket_owner(peer.uid);
}

// What is answered to a request that could not be read.
Answer unreadable(const Error& error) {
  Answer answer = error_answer(absl::InvalidArgumentError(error.what));
  if (error.kind == ErrorKind::kHeadTooLarge) answer.status = 431;
  if (error.kind == ErrorKind::kTooLarge) answer.status = 413;
  if (error.kind == ErrorKind::kTimeout) answer.status = 408;
  return answer;
}

// The body, in memory that is wiped.
identity::SecretText whole_body(const Answer& answer) {
  identity::SecretText body;
  body.reserve(answer.body.size() + answer.secret.size() + kSecretFrame);
  if (answer.secret.empty()) {
    body.append(answer.body);
  } else {
    body.append("{\"key\":\"").append(answer.secret).append("\",").append(answer.body, 1);  // body: a filled object
  }
  return body;
}

std::array<http::Header, 2> headers_of(const Answer& answer) {
  return {http::Header{"content-type", answer.content_type}, http::Header{"cache-control", "no-store"}};
}

// What is asked, once the body is there too. kInvalidArgument: it is no request of this API.
absl::StatusOr<Request> read_request(const http::RequestHead& head, std::string_view body) {
  const auto method = boost::beast::http::to_string(head.method);
  auto request = parse_target(head.method == http::Verb::head ? "GET" : std::string_view(method.data(), method.size()),
                              head.target);
  if (!request) return absl::InvalidArgumentError("malformed path");
  if (body.empty()) return *std::move(request);
  auto object = parse_object(body, kBodyLimit, wiping_storage());
  if (!object) return absl::InvalidArgumentError("the body is not a JSON object");
  request->body = *std::move(object);
  return *std::move(request);
}

// A socket file that nobody listens on is what a killed gateway left.
absl::Status clear_path(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return absl::OkStatus();
  if (!S_ISSOCK(info.st_mode))
    return absl::FailedPreconditionError(path + " is there and is no socket; set admin.socket to another path");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool answered = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(probe);
  if (answered)
    return absl::FailedPreconditionError("another gateway answers on " + path +
                                         "; stop it, or set admin.socket to another path");
  ::unlink(path.c_str());
  return absl::OkStatus();
}

// What a socket that has been accepted goes on as.
std::unique_ptr<net::Stream> stream_of(net::Loop& loop, net::Socket socket) {
  return std::make_unique<net::Stream>(loop, std::move(socket));
}
std::unique_ptr<net::Stream> stream_of(net::Loop& loop, AdminServer::LocalSocket socket) {
  boost::system::error_code ec;
  net::Stream::Parts parts;
  parts.fd = socket.release(ec);
  return std::make_unique<net::Stream>(loop, std::move(parts));
}

}  // namespace

AdminServer::AdminServer(net::Loop& loop, AdminBackend backend, observe::Log& log)
    : loop_(loop),
      routes_(backend, loop),
      store_thread_(backend.store_thread),
      log_(log),
      tasks_(loop, [&log](const char* what) {
        log.error("fault in the admin API", {{"what", what}});
      }) {}
AdminServer::~AdminServer() {
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());  // never started
}

absl::Status AdminServer::listen(const std::string& socket_path) {
  if (socket_path.size() >= sizeof(sockaddr_un::sun_path))
    return absl::FailedPreconditionError("the path " + socket_path +
                                         " is too long for a socket (107 bytes); set admin.socket");
  if (absl::Status clear = clear_path(socket_path); !clear.ok()) return clear;
  boost::system::error_code ec;
  local_ = std::make_shared<LocalAcceptor>(loop_.executor());
  LocalAcceptor& acceptor = *local_;
  acceptor.open(asio::local::stream_protocol(), ec);
  // Nobody may connect between bind and chmod.
  const mode_t before = ::umask(0177);
  if (!ec) acceptor.bind(asio::local::stream_protocol::endpoint(socket_path), ec);
  ::umask(before);
  if (!ec) acceptor.listen(128, ec);
  if (ec) {
    local_.reset();
    return absl::FailedPreconditionError("cannot listen on " + socket_path + ": " + ec.message() +
                                         "; set admin.socket to a folder this user may write");
  }
  socket_path_ = socket_path;
  return absl::OkStatus();
}

class AdminServer::MetricsSocket final : public asio::basic_socket_acceptor<asio::ip::tcp, Executor> {
 public:
  using basic_socket_acceptor::basic_socket_acceptor;
};

absl::StatusOr<AdminServer::MetricsPtr> AdminServer::open_metrics(const std::string& address) {
  const auto endpoint = net::resolve_listen_address(address);
  if (!endpoint.ok()) return absl::InvalidArgumentError("admin.metrics: " + std::string(endpoint.status().message()));
  boost::system::error_code ec;
  auto socket = std::make_shared<MetricsSocket>(loop_.executor());
  socket->open(endpoint->protocol(), ec);
  if (!ec) socket->set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) socket->bind(*endpoint, ec);
  if (!ec) socket->listen(128, ec);
  if (ec)
    return absl::FailedPreconditionError("cannot listen on " + address + " for metrics: " + ec.message() +
                                         "; set admin.metrics");
  return socket;
}

void AdminServer::use_metrics(MetricsPtr socket) {
  boost::system::error_code ignored;
  if (metrics_) metrics_->close(ignored);
  metrics_ = std::move(socket);
  if (metrics_ && started_) tasks_.spawn(accept(metrics_, Surface::kMetrics));
}

std::uint16_t AdminServer::metrics_port() const noexcept {
  boost::system::error_code ec;
  return metrics_ ? metrics_->local_endpoint(ec).port() : std::uint16_t{0};
}

void AdminServer::start() {
  started_ = true;
  if (local_) tasks_.spawn(accept(local_, Surface::kAdmin));
  if (metrics_) tasks_.spawn(accept(metrics_, Surface::kMetrics));
}

template <class Acceptor>
Task<void> AdminServer::accept(std::shared_ptr<Acceptor> acceptor, Surface surface) {
  while (!stopping_) {
    typename Acceptor::protocol_type::socket::template rebind_executor<Executor>::other socket(loop_.executor());
    auto [ec] = co_await acceptor->async_accept(socket, use_task);
    if (ec == asio::error::operation_aborted || ec == asio::error::bad_descriptor || stopping_) break;
    if (ec) {  // out of descriptors: a moment later there may be one
      asio::basic_waitable_timer<Mono, asio::wait_traits<Mono>, Executor> pause(loop_.executor(),
                                                                                std::chrono::milliseconds(100));
      co_await pause.async_wait(use_task);
      continue;
    }
    std::optional<Principal> who = Principal("whoever reads the metrics", {Right::kWatch});
    if (surface == Surface::kAdmin) who = owner_at(socket.native_handle());
    if (!who) {
      log_.warn("an admin connection of another user was not taken", {});
    } else if (open_[static_cast<std::size_t>(surface)].size() < kMaxConnections) {
      tasks_.spawn(serve(stream_of(loop_, std::move(socket)), surface, *std::move(who)));
    }
  }
}

// One request after another, as many as the connection brings.
Task<void> AdminServer::serve(std::unique_ptr<net::Stream> stream, Surface surface, Principal who) {
  http::h1::ServerConnection client(std::move(stream), connection_limits());
  // What stop() cuts. Left however this ends, also by a throw, and before `client` goes.
  struct Open {
    Open(OpenStreams& all_, net::Stream& stream_) : all(all_), stream(stream_) { all.insert(&stream); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    ~Open() { all.erase(&stream); }
    OpenStreams& all;
    net::Stream& stream;
  } const open(open_[static_cast<std::size_t>(surface)], client.stream());
  while (!stopping_) {
    const Result<const http::RequestHead*> head = co_await client.read_head();
    if (!head) {
      co_await refuse_head(client, head.error());
      break;
    }
    Answer answer = co_await answer_to(client, surface, who);
    const Status sent = co_await send(client, std::move(answer));
    if (!sent || !client.keeps_alive()) break;
  }
  client.stream().close();
}

Task<void> AdminServer::refuse_head(http::Incoming& client, Error error) {
  if (error.kind == ErrorKind::kClosed) co_return;
  client.close_after_answer();
  Answer answer = unreadable(error);
  (void)co_await send(client, std::move(answer));
}

Task<Answer> AdminServer::answer_to(http::Incoming& client, Surface surface, const Principal& who) {
  Buffer body;
  SmallBody reserve;
  const Status read = co_await client.read_body(body, kBodyLimit, reserve, net::Deadline::after(kBodyTime));
  if (!read) {
    client.close_after_answer();
    co_return unreadable(read.error());
  }
  const absl::StatusOr<Request> request = read_request(client.head(), body.view());
  if (!request.ok()) co_return error_answer(request.status());
  const bool metrics = request->method == "GET" && request->path.size() == 1 && request->path[0] == "metrics";
  if (surface == Surface::kMetrics && !metrics)
    co_return error_answer(absl::NotFoundError("only GET /metrics is here"));
  co_return co_await routes_.handle(who, *request);
}

Task<Status> AdminServer::send(http::Incoming& client, Answer answer) {
  const std::array<http::Header, 2> headers = headers_of(answer);
  if (!answer.more) {
    const identity::SecretText body = whole_body(answer);
    co_return co_await client.respond(answer.status, headers, body);
  }
  client.begin(answer.status, headers);
  if (client.head().method == http::Verb::head) co_return co_await client.finish();
  const std::function<absl::StatusOr<std::string>(store::Store&)> next = [&answer](store::Store& store) {
    return answer.more->next(store);
  };
  for (;;) {
    const absl::StatusOr<std::string> part = co_await store_thread_.run(next);
    if (!part.ok()) {
      // An error in the middle can only be shown by an end that is none.
      log_.error("an audit export broke off",
                 {{"why", std::string_view(part.status().message().data(), part.status().message().size())}});
      client.abort();
      co_return client_error(ErrorKind::kClosed, "the export broke off");
    }
    if (part->empty()) co_return co_await client.finish();
    client.append(*part);
    SLUICE_CO_TRY(co_await client.flush());
  }
}

Task<void> AdminServer::stop() {
  stopping_ = true;
  boost::system::error_code ignored;
  if (local_) local_->close(ignored);
  if (metrics_) metrics_->close(ignored);
  for (const OpenStreams& streams : open_) {
    for (net::Stream* stream : streams) stream->close();
  }
  co_await tasks_.join();
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
  socket_path_.clear();
}

}  // namespace sluice::admin
