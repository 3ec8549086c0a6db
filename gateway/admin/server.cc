#include "admin/server.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstring>
#include <utility>

#include "net/listener.h"

namespace sluice::admin {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kHeadLimit = 16 * 1024;
constexpr std::size_t kBodyLimit = 1024 * 1024;
constexpr std::size_t kSecretFrame = std::string_view(R"("key":"",)").size();
constexpr std::chrono::seconds kReadTime{10};
constexpr std::chrono::seconds kWriteTime{60};

// Closes the socket when time is up, which ends the operation under way.
template <class Socket>
class Cutoff final : private net::Alarm {
 public:
  Cutoff(net::Loop& loop, Socket& socket, std::chrono::seconds time) : Alarm(loop.wheel()), socket_(socket) {
    arm(net::Deadline::after(time));
  }

 private:
  void expired() noexcept override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }
  Socket& socket_;
};

const char* reason_of(unsigned status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 409:
      return "Conflict";
    case 503:
      return "Service Unavailable";
    default:
      return "Internal Server Error";
  }
}

// The head and what is known of the body, in memory that is wiped.
identity::SecretText first_part(const Answer& answer) {
  const std::size_t size = answer.body.size() + (answer.secret.empty() ? 0 : answer.secret.size() + kSecretFrame);
  std::string head = "HTTP/1.1 " + std::to_string(answer.status) + " " + reason_of(answer.status) +
                     "\r\nContent-Type: " + answer.content_type +
                     "\r\nCache-Control: no-store\r\nConnection: close\r\n";
  head += answer.more ? "Transfer-Encoding: chunked" : "Content-Length: " + std::to_string(size);
  identity::SecretText part;
  part.reserve(head.size() + 4 + size);
  part.append(head).append("\r\n\r\n");
  if (answer.secret.empty()) {
    part.append(answer.body);
  } else {
    part.append("{\"key\":\"").append(answer.secret).append("\",").append(answer.body, 1);  // body: a filled object
  }
  return part;
}

identity::SecretText chunk_of(const std::string& text) {
  char size[24];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  identity::SecretText chunk(size);
  chunk.append(text).append("\r\n");
  return chunk;
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

}  // namespace

AdminServer::AdminServer(net::Loop& loop, AdminBackend backend, observe::Log& log)
    : loop_(loop), routes_(backend), log_(log), tasks_(loop, [&log](const char* what) {
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
    if (open_.size() < kMaxConnections) tasks_.spawn(serve(Socket(std::move(socket)), surface));
  }
}

Task<void> AdminServer::serve(Socket socket, Surface surface) {
  open_.insert(&socket);
  auto request = co_await read(socket);
  const Sends sends = request.ok() && request->method == "HEAD" ? Sends::kHead : Sends::kWhole;
  if (sends == Sends::kHead) request->method = "GET";
  if (request.ok()) {
    Answer answer = answer_to(*request, surface);
    if (answer.later)
      co_await write_later(socket, *std::move(answer.later));
    else
      co_await write(socket, std::move(answer), sends);
  } else if (!absl::IsCancelled(request.status()))
    co_await write(socket, error_answer(request.status()), sends);
  open_.erase(&socket);
}

Task<void> AdminServer::write_later(Socket& socket, Task<absl::StatusOr<json::object>> work) {
  const absl::StatusOr<json::object> result = co_await std::move(work);
  Answer answer = Routes::finished(result);
  co_await write(socket, std::move(answer));
}

Answer AdminServer::answer_to(const Request& request, Surface surface) {
  const bool metrics = request.method == "GET" && request.path.size() == 1 && request.path[0] == "metrics";
  if (surface == Surface::kMetrics && !metrics) return error_answer(absl::NotFoundError("only GET /metrics is here"));
  return routes_.handle(request);
}

// kCancelled: the peer left, there is nobody to answer.
Task<absl::StatusOr<Request>> AdminServer::read(Socket& socket) {
  const Cutoff<Socket> cutoff(loop_, socket, kReadTime);
  http::request_parser<http::string_body> parser;
  parser.header_limit(kHeadLimit);
  parser.body_limit(kBodyLimit);
  parser.eager(true);
  std::string buffer;
  while (!parser.is_done()) {
    const std::size_t had = buffer.size();
    if (had > kHeadLimit + kBodyLimit) co_return absl::InvalidArgumentError("the request is too large");
    buffer.resize(had + 8192);
    auto [ec, got] = co_await socket.async_read_some(asio::buffer(buffer.data() + had, 8192), use_task);
    if (ec) co_return absl::CancelledError("");
    buffer.resize(had + got);
    boost::system::error_code bad;
    const std::size_t used = parser.put(asio::buffer(buffer), bad);
    if (bad && bad != http::error::need_more)
      co_return absl::InvalidArgumentError("malformed request: " + bad.message());
    buffer.erase(0, used);
  }
  const auto& message = parser.get();
  const auto method = message.method_string();
  const auto target = message.target();
  auto request = parse_target({method.data(), method.size()}, {target.data(), target.size()});
  if (!request) co_return absl::InvalidArgumentError("malformed path");
  if (!message.body().empty()) {
    auto body = parse_object(message.body(), kBodyLimit);
    if (!body) co_return absl::InvalidArgumentError("the body is not a JSON object");
    request->body = std::move(*body);
  }
  co_return std::move(*request);
}

Task<void> AdminServer::write(Socket& socket, Answer answer, Sends sends) {
  identity::SecretText part = first_part(answer);
  if (sends == Sends::kHead) {
    part.resize(part.find("\r\n\r\n") + 4);
    answer.more.reset();
  }
  for (;;) {
    const Cutoff<Socket> cutoff(loop_, socket, kWriteTime);
    auto [ec, sent] = co_await asio::async_write(socket, asio::buffer(part), use_task);
    if (ec || !answer.more) break;
    const auto next = answer.more->next();
    // An error in the middle can only be shown by an end that is none: no last chunk.
    if (!next.ok()) {
      log_.error("an audit export broke off",
                 {{"why", std::string_view(next.status().message().data(), next.status().message().size())}});
      co_return;
    }
    if (next->empty()) {
      answer.more.reset();
      part = "0\r\n\r\n";
    } else {
      part = chunk_of(*next);
    }
  }
  boost::system::error_code ignored;
  socket.shutdown(asio::socket_base::shutdown_send, ignored);
}

Task<void> AdminServer::stop() {
  stopping_ = true;
  boost::system::error_code ignored;
  if (local_) local_->close(ignored);
  if (metrics_) metrics_->close(ignored);
  for (Socket* socket : open_) socket->close(ignored);
  co_await tasks_.join();
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
  socket_path_.clear();
}

}  // namespace sluice::admin
