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

// How long the gateway is waited for.
class Patience final {
 public:
  enum class Of : std::uint8_t {
    kAll,      // from now to the end of its answer
    kSilence,  // for each of its parts
  };
  Patience(std::chrono::seconds time, Of of) : time_(time), of_(of), until_(Clock::now() + time) {}

  enum class Left : std::uint8_t { kSome, kNone };
  // The next wait on `fd`, that for a full backlog included, is over in time.
  [[nodiscard]] Left bound_wait(int fd) const noexcept {
    using std::chrono::microseconds;
    microseconds left = time_;
    if (of_ == Of::kAll) left = std::chrono::duration_cast<microseconds>(until_ - Clock::now());
    if (left.count() <= 0) return Left::kNone;
    const timeval time{.tv_sec = left.count() / 1'000'000, .tv_usec = left.count() % 1'000'000};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    return Left::kSome;
  }
  // The error of who waited for the gateway on `where` in vain.
  [[nodiscard]] absl::Status over(std::string_view where) const {
    return absl::DeadlineExceededError("the gateway on " + std::string(where) +
                                       (of_ == Of::kAll ? " did not answer within " : " says nothing for ") +
                                       std::to_string(time_.count()) +
                                       " s: it hangs, is stopped, or needs longer for this; see its log, or give it "
                                       "more with --timeout SECONDS. It may "
                                       "still do what it was asked");
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::chrono::seconds time_;
  Of of_;
  Clock::time_point until_;
};

absl::StatusOr<Fd> connect_to(const FoundSocket& socket, const Patience& patience) {
  const std::string where = socket.path + " (" + socket.said_by + ")";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.path.size() >= sizeof address.sun_path)
    return absl::InvalidArgumentError("the socket path is too long (107 bytes at most): " + where);
  std::memcpy(address.sun_path, socket.path.data(), socket.path.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (patience.bound_wait(fd.get()) == Patience::Left::kNone) return patience.over(socket.path);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const int error = errno;
  if (error == EACCES || error == EPERM)
    return absl::PermissionDeniedError("no permission for " + where + "; run this as the user that runs the gateway");
  if (error == EAGAIN) return patience.over(socket.path);
  if (error == ENOENT || error == ECONNREFUSED)
    return absl::UnavailableError("no gateway answers on " + where +
                                  "; start one with: sluice serve, or say where it is: --socket PATH or --config FILE");
  return absl::UnavailableError("cannot connect to " + where + ": " + std::strerror(error) +
                                "; say where the gateway is: --socket PATH or --config FILE");
}

bool out_of_time() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

absl::Status send_all(int fd, std::string_view text, const Patience& patience, std::string_view where) {
  while (!text.empty()) {
    if (patience.bound_wait(fd) == Patience::Left::kNone) return patience.over(where);
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && out_of_time()) return patience.over(where);
    if (sent <= 0) return absl::UnavailableError("the gateway closed the admin connection; see its log");
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return absl::OkStatus();
}

absl::StatusOr<ClientAnswer> read_answer(int fd, const Sink& sink, const Patience& patience, std::string_view where) {
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
    if (patience.bound_wait(fd) == Patience::Left::kNone) return patience.over(where);
    char chunk[16 * 1024];
    const ssize_t got = ::recv(fd, chunk, sizeof chunk, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && out_of_time()) return patience.over(where);
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
                                        const json::object* body, std::chrono::seconds time, const Sink& sink) {
  const Patience patience(time, sink ? Patience::Of::kSilence : Patience::Of::kAll);
  const auto fd = connect_to(socket, patience);
  if (!fd.ok()) return fd.status();
  const std::string text = body == nullptr ? std::string() : json::serialize(*body);
  std::string request;
  request.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n");
  request.append("Content-Length: ").append(std::to_string(text.size())).append("\r\n\r\n").append(text);
  if (absl::Status sent = send_all(fd->get(), request, patience, socket.path); !sent.ok()) return sent;
  return read_answer(fd->get(), sink, patience, socket.path);
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
