#include "cli/client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <cstring>

namespace sluice::cli {
namespace {

namespace http = boost::beast::http;

class Fd final {
 public:
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

absl::Status silent(std::string_view where, std::chrono::seconds patience) {
  return absl::DeadlineExceededError(
      "the gateway on " + std::string(where) + " says nothing for " + std::to_string(patience.count()) +
      " s: it hangs, is stopped, or needs longer for this; see its log, or give it more with "
      "--timeout SECONDS. It may still do what it was asked");
}

// Each wait on `fd` is over after `patience`, that for a full backlog included.
void bound_waits(int fd, std::chrono::seconds patience) noexcept {
  const timeval time{.tv_sec = patience.count(), .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

absl::StatusOr<Fd> connect_to(const FoundSocket& socket, std::chrono::seconds patience) {
  const std::string where = socket.path + " (" + socket.said_by + ")";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.path.size() >= sizeof address.sun_path)
    return absl::InvalidArgumentError("the socket path is too long (107 bytes at most): " + where);
  std::memcpy(address.sun_path, socket.path.data(), socket.path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  bound_waits(fd.get(), patience);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const int error = errno;
  if (error == EACCES || error == EPERM)
    return absl::PermissionDeniedError("no permission for " + where + "; run this as the user that runs the gateway");
  if (error == EAGAIN) return silent(socket.path, patience);
  if (error == ENOENT || error == ECONNREFUSED)
    return absl::UnavailableError("no gateway answers on " + where +
                                  "; start one with: sluice serve, or say where it is: --socket PATH or --config FILE");
  return absl::UnavailableError("cannot connect to " + where + ": " + std::strerror(error) +
                                "; say where the gateway is: --socket PATH or --config FILE");
}

bool out_of_time() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

absl::Status send_all(int fd, std::string_view text, const absl::Status& too_late) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && out_of_time()) return too_late;
    if (sent <= 0) return absl::UnavailableError("the gateway closed the admin connection; see its log");
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return absl::OkStatus();
}

absl::StatusOr<ClientAnswer> read_answer(int fd, const Sink& sink, const absl::Status& too_late) {
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  parser.eager(true);
  std::string buffer;
  ClientAnswer answer;
  const auto take_body = [&] {
    std::string& body = parser.get().body();
    if (sink && parser.is_header_done() && parser.get().result_int() == 200) {
      sink(body);
      body.clear();
    }
  };
  while (!parser.is_done()) {
    char chunk[16 * 1024];
    const ssize_t got = ::recv(fd, chunk, sizeof chunk, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && out_of_time()) return too_late;
    if (got <= 0) return absl::DataLossError("the gateway broke off its answer; see its log, and try again");
    buffer.append(chunk, static_cast<std::size_t>(got));
    boost::system::error_code error;
    // A call of put() may stop after the head or after a chunk.
    while (!buffer.empty() && !parser.is_done()) {
      const std::size_t used = parser.put(boost::asio::buffer(buffer), error);
      buffer.erase(0, used);
      if (error == http::error::need_more || used == 0) break;
      if (error) return absl::DataLossError("what answers on the socket is not a sluice gateway");
    }
    take_body();
  }
  answer.status = parser.get().result_int();
  answer.body = std::move(parser.get().body());
  return answer;
}

}  // namespace

absl::StatusOr<ClientAnswer> call_admin(const FoundSocket& socket, std::string_view method, std::string_view target,
                                        const json::object* body, std::chrono::seconds patience, const Sink& sink) {
  const auto fd = connect_to(socket, patience);
  if (!fd.ok()) return fd.status();
  const std::string text = body == nullptr ? std::string() : json::serialize(*body);
  std::string request;
  request.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n");
  request.append("Content-Length: ").append(std::to_string(text.size())).append("\r\n\r\n").append(text);
  const absl::Status too_late = silent(socket.path, patience);
  if (absl::Status sent = send_all(fd->get(), request, too_late); !sent.ok()) return sent;
  return read_answer(fd->get(), sink, too_late);
}

std::string url_encode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 15];
    }
  }
  return encoded;
}

}  // namespace sluice::cli
