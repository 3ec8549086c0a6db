#include "net/stream.h"

#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

namespace sluice::net {
namespace {

// tcp_info as Linux has it since 4.1 (include/uapi/linux/tcp.h), as far as it is read here: glibc's ends before.
struct TcpInfo {
  tcp_info first;
  std::uint64_t pacing_rate;
  std::uint64_t max_pacing_rate;
  std::uint64_t bytes_acked;  // RFC 4898, tcpEStatsAppHCThruOctetsAcked; a SYN may count as one
};
static_assert(offsetof(TcpInfo, bytes_acked) == 120);

// Nothing: this kernel does not say. It also says of a connection that has ended.
std::optional<TcpInfo> tcp_info_of(int fd) noexcept {
  TcpInfo info{};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0 || length < sizeof info) return std::nullopt;
  return info;
}

std::optional<std::uint64_t> count_acknowledged(int fd) noexcept {
  const std::optional<TcpInfo> info = tcp_info_of(fd);
  if (!info) return std::nullopt;
  return info->bytes_acked;
}

Stream::Parts parts_of(Socket socket) noexcept {
  boost::system::error_code ignored;  // of a socket that has been closed: then it has no descriptor either
  Stream::Parts parts;
  parts.peer = socket.remote_endpoint(ignored);
  parts.fd = socket.release(ignored);
  return parts;
}

}  // namespace

// --- waiting ---------------------------------------------------------------------------------------------------------

struct Stream::Link {
  Stream* stream;  // null: gone
  unsigned references = 1;
  bool resting = false;

  void drop() noexcept {
    if (--references == 0) delete this;
  }
};

// The handler that ends a rest.
class Stream::Rested {
 public:
  explicit Rested(Link* link) noexcept : link_(link) { ++link_->references; }
  Rested(Rested&& other) noexcept : link_(std::exchange(other.link_, nullptr)) {}
  Rested(const Rested&) = delete;
  Rested& operator=(Rested&&) = delete;
  ~Rested() {
    if (link_ != nullptr) link_->drop();
  }
  void operator()() noexcept {
    link_->resting = false;
    if (link_->stream == nullptr) return;
    link_->stream->turn_.begin();
    link_->stream->wake(true, false);
  }

 private:
  Link* link_;
};

Stream::Waiter::Waiting Stream::Waiter::wait(Side side, Deadline deadline) noexcept {
  side_ = side;
  arm(deadline);
  return {*this};
}

void Stream::Waiter::wake(Outcome outcome) noexcept {
  disarm();
  outcome_ = outcome;
  std::exchange(waiting_, nullptr).resume();
}

void Stream::Waiter::wake_later(Outcome outcome) noexcept {
  if (!waiting_) return;
  disarm();
  outcome_ = outcome;
  loop_.resume_later(std::exchange(waiting_, nullptr));
}

void Stream::enter() noexcept {
  if (fd_ >= 0 && !loop_.readiness().add(fd_, *this)) state_ = State::kBroken;
}

void Stream::leave() noexcept {
  (void)disarm(Side::kRead);
  (void)disarm(Side::kWrite);
  loop_.readiness().remove(fd_, *this);
}

void Stream::arm(Side side) noexcept {
  bool& armed = side == Side::kRead ? read_armed_ : write_armed_;
  if (fd_ < 0 || std::exchange(armed, true)) return;
  loop_.readiness().expect();
}

// Whether it was armed.
bool Stream::disarm(Side side) noexcept {
  bool& armed = side == Side::kRead ? read_armed_ : write_armed_;
  if (!std::exchange(armed, false)) return false;
  loop_.readiness().forget();
  return true;
}

// The turn is spent and there is more: goes on behind what is ready now, and behind the sockets that become so.
void Stream::rest() noexcept {
  if (std::exchange(link_->resting, true)) return;
  asio::post(loop_.executor(), Rested(link_));
}

// An edge that nobody waits for is remembered alone.
void Stream::became_ready(Readiness::Edge edge) noexcept {
  peer_ended_ = peer_ended_ || edge.ended;
  readable_ = readable_ || edge.readable;
  writable_ = writable_ || edge.writable;
  const bool readable = edge.readable && disarm(Side::kRead);
  const bool writable = edge.writable && disarm(Side::kWrite);
  if (readable || writable) wake(readable, writable);
}

void Stream::wake(bool readable, bool writable) noexcept {
  if (readable && watcher_ != nullptr) watcher_->notify();
  const auto is_woken = [&](const Waiter& waiter) {
    return (readable && waiter.waits_for(Side::kRead)) || (writable && waiter.waits_for(Side::kWrite));
  };
  // A woken coroutine may destroy the stream: nothing may be touched behind the last wake().
  const bool wake_reader = is_woken(reader_);
  if (is_woken(writer_)) {
    if (wake_reader) reader_.wake_later(Outcome::kReady);
    writer_.wake(Outcome::kReady);
  } else if (wake_reader) {
    reader_.wake(Outcome::kReady);
  }
}

Task<Status> Stream::wait(Waiter& waiter, Side side, Deadline deadline) {
  if (state_ == State::kClosed) co_return kClosedError;
  const bool ready = side == Side::kRead ? readable_ || holds_bytes_ : writable_;
  if (ready && (side == Side::kWrite || !turn_.spent())) co_return ok();
  if (!ready) {
    arm(side);
  } else if (deadline.passed()) {
    co_return kTimeoutError;
  } else {
    rest();
  }
  const Outcome outcome = co_await waiter.wait(side, deadline);
  if (outcome == Outcome::kReady) co_return ok();
  if (outcome == Outcome::kTimeout) co_return kTimeoutError;
  co_return kClosedError;
}

Task<Status> Stream::wait_readable(Deadline deadline) { return wait(reader_, read_needs_, deadline); }
Task<Status> Stream::wait_writable(Deadline deadline) { return wait(writer_, write_needs_, deadline); }

void Stream::watch_readable(Signal* signal) noexcept {
  watcher_ = signal;
  if (watcher_ == nullptr) return;
  if (readable_ || holds_bytes_) {
    watcher_->notify();  // nobody knows that there is nothing: the watcher's try_read finds out
  } else {
    arm(Side::kRead);
  }
}

// --- bytes -----------------------------------------------------------------------------------------------------------

Result<std::size_t> Stream::receive(char* into, std::size_t size_bytes) noexcept {
  if (!readable_) return kWouldBlockError;
  for (;;) {
    const ssize_t n = ::recv(fd_, into, size_bytes, 0);
    if (n > 0) {
      turn_.took_bytes(static_cast<std::size_t>(n));
      if (static_cast<std::size_t>(n) < size_bytes && !peer_ended_) readable_ = false;
      return static_cast<std::size_t>(n);
    }
    if (n == 0) {
      if (size_bytes != 0) state_ = State::kEnded;
      return std::size_t{0};
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readable_ = false;
      return kWouldBlockError;
    }
    state_ = State::kBroken;
    return broken("read failed", errno);
  }
}

Result<std::size_t> Stream::send(const char* from, std::size_t size_bytes) noexcept {
  if (!writable_) return kWouldBlockError;
  for (;;) {
    const ssize_t n = ::send(fd_, from, size_bytes, MSG_NOSIGNAL);
    if (n >= 0) {
      sent_bytes_ += static_cast<std::size_t>(n);
      if (static_cast<std::size_t>(n) < size_bytes) writable_ = false;
      return static_cast<std::size_t>(n);
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      writable_ = false;
      return kWouldBlockError;
    }
    writing_failed_ = true;  // not more: the peer's last words may still be there to read
    return broken("write failed", errno);
  }
}

Result<std::size_t> Stream::try_read(std::span<char> into) noexcept {
  if (state_ == State::kClosed) return kClosedError;
  if (state_ == State::kBroken) return broken("connection was reset", 0);
  if (read_ended_ || into.empty()) return std::size_t{0};
  if (turn_.spent() && (readable_ || holds_bytes_)) {
    if (watcher_ != nullptr) rest();
    return kWouldBlockError;
  }
  turn_.took_records(1);
  into = into.first(std::min(into.size(), std::max<std::size_t>(turn_.bytes_left(), 1)));
  Result<std::size_t> got = kWouldBlockError;
  if (layer_ == Layer::kPlain) {
    got = receive(into.data(), into.size());
  } else if (readable_ || holds_bytes_) {
    got = layer_ == Layer::kRecords ? read_records(into) : read_ssl(into);
  }
  read_ended_ = got && *got == 0;
  if (watcher_ != nullptr && !got && got.error().kind == ErrorKind::kWouldBlock) {
    if (turn_.spent() && (readable_ || holds_bytes_)) {
      rest();
    } else {
      arm(Side::kRead);
    }
  }
  return got;
}

Result<std::size_t> Stream::try_write(std::string_view bytes) noexcept {
  if (state_ == State::kClosed) return kClosedError;
  if (state_ == State::kBroken || writing_failed_) return broken("connection was reset", 0);
  if (bytes.empty()) return std::size_t{0};
  switch (layer_) {
    case Layer::kPlain:
      return send(bytes.data(), bytes.size());
    case Layer::kOpenSsl:
      return write_ssl(bytes);
    case Layer::kRecords:
      return write_records(bytes);
  }
  return kClosedError;
}

Task<Result<std::size_t>> Stream::read_some(std::span<char> into, Deadline deadline) {
  for (;;) {
    const Result<std::size_t> n = try_read(into);
    if (n || n.error().kind != ErrorKind::kWouldBlock) co_return n;
    const Status ready = co_await wait_readable(deadline);
    if (!ready) co_return ready.error();
  }
}

Task<Status> Stream::write(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const Result<std::size_t> n = try_write(bytes);
    if (n) {
      bytes.remove_prefix(*n);
      continue;
    }
    if (n.error().kind != ErrorKind::kWouldBlock) co_return n.error();
    SLUICE_CO_TRY(co_await wait_writable(deadline));
  }
  co_return ok();
}

// --- opening, closing, moving ----------------------------------------------------------------------------------------

Stream::Stream(Loop& loop, int fd, Endpoint peer)
    : loop_(loop), fd_(fd), peer_(std::move(peer)), link_(new Link{.stream = this}), reader_(loop), writer_(loop) {
  if (fd_ < 0) {
    state_ = State::kClosed;
    return;
  }
  int on = 1;  // a socket that refuses these is closed already: the first read says so
  (void)::ioctl(fd_, FIONBIO, &on);
  (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Stream::Stream(Loop& loop, Socket socket) : Stream(loop, parts_of(std::move(socket))) {}

Stream::Stream(Loop& loop, Parts parts) : Stream(loop, parts.fd, parts.peer) {
  alpn_ = std::move(parts.alpn);
  records_ = std::move(parts.records);
  if (parts.ssl) attach(std::move(parts.ssl));
  if (records_ && records_->speaks()) layer_ = Layer::kRecords;
  holds_bytes_ = layer_ != Layer::kPlain;
  enter();
}

Stream::~Stream() {
  close();
  link_->stream = nullptr;
  link_->drop();
}

Stream::Parts Stream::release() {
  watcher_ = nullptr;
  Parts parts;
  parts.peer = peer_;
  parts.alpn = std::move(alpn_);
  parts.records = std::move(records_);
  parts.ssl = std::move(ssl_);
  if (parts.ssl) BIO_set_data(SSL_get_rbio(parts.ssl.get()), nullptr);
  leave();
  parts.fd = std::exchange(fd_, -1);
  state_ = State::kClosed;
  return parts;
}

Task<Result<std::unique_ptr<Stream>>> Stream::connect(Loop& loop, Endpoint endpoint, Deadline deadline) {
  const auto failed = [](ErrorKind kind, const char* what, int code) {
    return Error{kind, Origin::kUpstream, Retry::kYes, 0, code, what};
  };
  const int fd = ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) co_return failed(ErrorKind::kConnect, "no socket", errno);
  std::unique_ptr<Stream> stream(new Stream(loop, fd, endpoint));
  const bool connected = ::connect(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0;
  if (!connected && errno != EINPROGRESS) co_return failed(ErrorKind::kConnect, "cannot connect", errno);
  stream->enter();
  if (!connected) {
    stream->writable_ = false;
    const Status ready = co_await stream->wait_writable(deadline);
    if (!ready) co_return failed(ready.error().kind, "cannot connect in time", 0);
    int code = 0;
    socklen_t length = sizeof code;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length);
    if (code != 0) co_return failed(ErrorKind::kConnect, "cannot connect", code);
  }
  stream->acknowledged_before_ = count_acknowledged(fd).value_or(0);
  co_return stream;
}

std::optional<std::uint64_t> Stream::acknowledged_bytes() noexcept {
  if (state_ == State::kClosed) return std::nullopt;
  const std::optional<std::uint64_t> count = count_acknowledged(fd_);
  if (!count || *count < acknowledged_before_) return std::nullopt;
  return *count - acknowledged_before_;
}

std::optional<std::chrono::milliseconds> Stream::last_arrival_age() noexcept {
  if (state_ == State::kClosed) return std::nullopt;
  const std::optional<TcpInfo> info = tcp_info_of(fd_);
  if (!info) return std::nullopt;
  return std::chrono::milliseconds(info->first.tcpi_last_data_recv);
}

void Stream::end_writing() noexcept {
  if (state_ == State::kClosed) return;
  say_goodbye();
  ::shutdown(fd_, SHUT_WR);
}

void Stream::shut() noexcept {
  if (fd_ >= 0) {
    leave();
    ::close(std::exchange(fd_, -1));
  }
  ssl_.reset();
  records_.reset();
  watcher_ = nullptr;
  state_ = State::kClosed;
  reader_.wake_later(Outcome::kClosed);
  writer_.wake_later(Outcome::kClosed);
}

void Stream::close() noexcept {
  if (state_ == State::kClosed) return;
  say_goodbye();
  shut();
}

void Stream::abort() noexcept {
  if (state_ == State::kClosed) return;
  const linger now{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  shut();
}

bool Stream::is_quiet() noexcept {
  turn_.begin();
  readable_ = true;
  std::array<char, 1> byte;
  const Result<std::size_t> read = try_read(byte);
  return !read && read.error().kind == ErrorKind::kWouldBlock;
}

bool Stream::is_open() const noexcept { return state_ != State::kClosed; }

}  // namespace sluice::net
