#include "net/stream.h"

#include <netinet/tcp.h>
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

}  // namespace

// --- waiting ---------------------------------------------------------------------------------------------------------

struct Stream::Link {
  Stream* stream;  // null: gone
  unsigned references = 1;
  bool read_armed = false;
  bool write_armed = false;
  bool resting = false;

  void drop() noexcept {
    if (--references == 0) delete this;
  }
};

// The handler of one async_wait. It may come after the stream has gone, on a loop that goes on.
class Stream::Ready {
 public:
  Ready(Link* link, Side side) noexcept : link_(link), side_(side) { ++link_->references; }
  Ready(Ready&& other) noexcept : link_(std::exchange(other.link_, nullptr)), side_(other.side_) {}
  Ready(const Ready&) = delete;
  Ready& operator=(Ready&&) = delete;
  ~Ready() {
    if (link_ != nullptr) link_->drop();
  }
  // An error is not looked at: the operation that is tried next finds it, with its reason.
  void operator()(boost::system::error_code) noexcept {
    (side_ == Side::kRead ? link_->read_armed : link_->write_armed) = false;
    if (link_->stream != nullptr) link_->stream->on_ready(side_);
  }

 private:
  Link* link_;
  Side side_;
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
    if (link_->stream != nullptr) link_->stream->on_ready(Side::kRead);
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

void Stream::arm(Side side) noexcept {
  bool& armed = side == Side::kRead ? link_->read_armed : link_->write_armed;
  if (armed || !socket_.is_open()) return;
  armed = true;
  socket_.async_wait(side == Side::kRead ? Socket::wait_read : Socket::wait_write, Ready(link_, side));
}

// The turn is spent and there is more: goes on behind what is ready now, and behind the sockets that become so.
void Stream::rest() noexcept {
  if (std::exchange(link_->resting, true)) return;
  asio::post(loop_.executor(), Rested(link_));
}

void Stream::on_ready(Side side) noexcept {
  (side == Side::kRead ? readable_ : writable_) = true;
  if (side == Side::kRead) turn_.begin();
  if (side == Side::kRead && watcher_ != nullptr) watcher_->notify();
  // A woken coroutine may destroy the stream: nothing may be touched behind the last wake().
  const bool wake_reader = reader_.waits_for(side);
  if (writer_.waits_for(side)) {
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
    const ssize_t n = ::recv(socket_.native_handle(), into, size_bytes, 0);
    if (n > 0) {
      turn_.took_bytes(static_cast<std::size_t>(n));
      if (static_cast<std::size_t>(n) < size_bytes) readable_ = false;
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
    const ssize_t n = ::send(socket_.native_handle(), from, size_bytes, MSG_NOSIGNAL);
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

Stream::Stream(Loop& loop, Socket socket, Endpoint peer, Link* link) noexcept
    : loop_(loop), socket_(std::move(socket)), peer_(std::move(peer)), link_(link), reader_(loop), writer_(loop) {
  link_->stream = this;
  boost::system::error_code ignored;  // a socket that refuses these is closed already: the first read says so
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

Stream::Stream(Loop& loop, Socket socket) : Stream(loop, std::move(socket), {}, new Link{}) {
  boost::system::error_code ignored;
  peer_ = socket_.remote_endpoint(ignored);
}

Stream::Stream(Loop& loop, Parts parts) : Stream(loop, Socket(loop.executor()), parts.peer, new Link{}) {
  boost::system::error_code ec;
  socket_.assign(parts.peer.protocol(), parts.fd, ec);
  if (ec) {
    ::close(parts.fd);
    state_ = State::kClosed;
    return;
  }
  socket_.non_blocking(true, ec);
  alpn_ = std::move(parts.alpn);
  records_ = std::move(parts.records);
  if (parts.ssl) attach(std::move(parts.ssl));
  if (records_ && records_->speaks()) layer_ = Layer::kRecords;
  holds_bytes_ = layer_ != Layer::kPlain;
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
  boost::system::error_code ec;
  parts.fd = socket_.release(ec);
  state_ = State::kClosed;
  return parts;
}

Task<Result<std::unique_ptr<Stream>>> Stream::connect(Loop& loop, Endpoint endpoint, Deadline deadline) {
  const auto failed = [](ErrorKind kind, const char* what, int code) {
    return Error{kind, Origin::kUpstream, Retry::kYes, 0, code, what};
  };
  boost::system::error_code ec;
  Socket socket(loop.executor());
  socket.open(endpoint.protocol(), ec);
  if (ec) co_return failed(ErrorKind::kConnect, "no socket", ec.value());
  std::unique_ptr<Stream> stream(new Stream(loop, std::move(socket), endpoint, new Link{}));
  const int fd = stream->socket_.native_handle();
  if (::connect(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    if (errno != EINPROGRESS) co_return failed(ErrorKind::kConnect, "cannot connect", errno);
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
  const std::optional<std::uint64_t> count = count_acknowledged(socket_.native_handle());
  if (!count || *count < acknowledged_before_) return std::nullopt;
  return *count - acknowledged_before_;
}

std::optional<std::chrono::milliseconds> Stream::last_arrival_age() noexcept {
  if (state_ == State::kClosed) return std::nullopt;
  const std::optional<TcpInfo> info = tcp_info_of(socket_.native_handle());
  if (!info) return std::nullopt;
  return std::chrono::milliseconds(info->first.tcpi_last_data_recv);
}

void Stream::end_writing() noexcept {
  if (state_ == State::kClosed) return;
  say_goodbye();
  ::shutdown(socket_.native_handle(), SHUT_WR);
}

void Stream::shut() noexcept {
  boost::system::error_code ignored;
  socket_.close(ignored);
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
  boost::system::error_code ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
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
