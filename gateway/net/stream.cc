#include "net/stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace sluice::net {
namespace {

constexpr Error kWouldBlockError = self_error(ErrorKind::kWouldBlock, "nothing to do now");
constexpr Error kClosedError = self_error(ErrorKind::kClosed, "connection is closed");

Error broken(const char* what, int os_code) noexcept { return self_error(ErrorKind::kClosed, what, os_code); }

}  // namespace

// --- waiting ---------------------------------------------------------------------------------------------------------

struct Stream::Link {
  Stream* stream;  // null: gone
  unsigned references = 1;
  bool read_armed = false;
  bool write_armed = false;

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

void Stream::on_ready(Side side) noexcept {
  (side == Side::kRead ? readable_ : writable_) = true;
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
  if (side == Side::kRead ? readable_ || holds_bytes_ : writable_) co_return ok();
  arm(side);
  const Outcome outcome = co_await waiter.wait(side, deadline);
  if (outcome == Outcome::kReady) co_return ok();
  if (outcome == Outcome::kTimeout) co_return self_error(ErrorKind::kTimeout, "peer took too long");
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

// BIO_s_socket would raise SIGPIPE, and would ask the kernel again where a short read has already said "empty".
struct Stream::Wire {
  static Stream& of(BIO* bio) noexcept { return *static_cast<Stream*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, std::size_t size_bytes, std::size_t* got) noexcept {
    BIO_clear_retry_flags(bio);
    const Result<std::size_t> n = of(bio).receive(into, size_bytes);
    *got = n ? *n : 0;
    if (!n && n.error().kind == ErrorKind::kWouldBlock) BIO_set_retry_read(bio);
    return *got != 0 ? 1 : 0;
  }
  static int write(BIO* bio, const char* from, std::size_t size_bytes, std::size_t* put) noexcept {
    BIO_clear_retry_flags(bio);
    const Result<std::size_t> n = of(bio).send(from, size_bytes);
    *put = n ? *n : 0;
    if (!n && n.error().kind == ErrorKind::kWouldBlock) BIO_set_retry_write(bio);
    return *put != 0 ? 1 : 0;
  }
  static long control(BIO* bio, int command, long, void*) noexcept {
    if (command == BIO_CTRL_EOF) return of(bio).state_ == State::kEnded ? 1 : 0;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
  }
  static const BIO_METHOD* method() noexcept {
    static const BIO_METHOD* const made = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice socket");
      BIO_meth_set_read_ex(m, &Wire::read);
      BIO_meth_set_write_ex(m, &Wire::write);
      BIO_meth_set_ctrl(m, &Wire::control);
      return m;
    }();
    return made;
  }
};

void Stream::attach(SslPtr ssl) noexcept {
  ssl_ = std::move(ssl);
  BIO* bio = SSL_get_rbio(ssl_.get());
  if (bio == nullptr) {
    bio = BIO_new(Wire::method());
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_mode(ssl_.get(),
                 SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_options(ssl_.get(), SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION);
    SSL_set_read_ahead(ssl_.get(), 1);
  }
  BIO_set_data(bio, this);
  holds_bytes_ = true;
}

// Says what a failed SSL call means, and what `side` has to wait for.
Result<std::size_t> Stream::tls_failed(int outcome, Side side) noexcept {
  Side& needs = side == Side::kRead ? read_needs_ : write_needs_;
  switch (SSL_get_error(ssl_.get(), outcome)) {
    case SSL_ERROR_WANT_READ:
      needs = Side::kRead;
      return kWouldBlockError;
    case SSL_ERROR_WANT_WRITE:
      needs = Side::kWrite;
      return kWouldBlockError;
    case SSL_ERROR_ZERO_RETURN:
      if (side == Side::kRead) return std::size_t{0};
      break;
    default:
      if (side == Side::kRead && state_ == State::kEnded) {
        truncated_ = true;
        return std::size_t{0};
      }
      break;
  }
  if (side == Side::kWrite && writing_failed_) {
    ERR_clear_error();
    return broken("connection was reset", 0);
  }
  const bool by_socket = state_ == State::kBroken;
  if (state_ == State::kOpen) state_ = State::kBroken;
  const int code = static_cast<int>(ERR_GET_REASON(ERR_peek_error()));
  ERR_clear_error();
  return broken(by_socket ? "connection was reset" : "TLS failed", code);
}

Result<std::size_t> Stream::try_read(std::span<char> into) noexcept {
  if (state_ == State::kClosed) return kClosedError;
  if (state_ == State::kBroken) return broken("connection was reset", 0);
  if (read_ended_ || into.empty()) return std::size_t{0};
  Result<std::size_t> got = kWouldBlockError;
  if (!ssl_) {
    got = receive(into.data(), into.size());
  } else if (readable_ || holds_bytes_) {
    holds_bytes_ = false;
    ERR_clear_error();
    std::size_t n = 0;
    const int outcome = SSL_read_ex(ssl_.get(), into.data(), into.size(), &n);
    got = outcome > 0 ? Result<std::size_t>(n) : tls_failed(outcome, Side::kRead);
    if (outcome > 0) holds_bytes_ = SSL_has_pending(ssl_.get()) != 0;
  }
  read_ended_ = got && *got == 0;
  if (watcher_ != nullptr && !got && got.error().kind == ErrorKind::kWouldBlock) arm(Side::kRead);
  return got;
}

Result<std::size_t> Stream::try_write(std::string_view bytes) noexcept {
  if (state_ == State::kClosed) return kClosedError;
  if (state_ == State::kBroken || writing_failed_) return broken("connection was reset", 0);
  if (bytes.empty()) return std::size_t{0};
  if (!ssl_) return send(bytes.data(), bytes.size());
  ERR_clear_error();
  std::size_t n = 0;
  const int outcome = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n);
  write_pending_ = outcome <= 0;
  if (outcome > 0) return n;
  return tls_failed(outcome, Side::kWrite);
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
  if (parts.ssl) attach(std::move(parts.ssl));
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
  co_return stream;
}

Task<Status> Stream::handshake_as_server(SSL_CTX* context, Deadline deadline) {
  SslPtr ssl(SSL_new(context));
  if (!ssl) co_return self_error(ErrorKind::kInternal, "no TLS session");
  SSL_set_accept_state(ssl.get());
  attach(std::move(ssl));
  co_return co_await handshake(deadline);
}

Task<Status> Stream::handshake_as_client(SSL_CTX* context, const std::string& host, Deadline deadline,
                                         SSL_SESSION* session) {
  SslPtr ssl(SSL_new(context));
  if (!ssl) co_return self_error(ErrorKind::kInternal, "no TLS session");
  SSL_set_connect_state(ssl.get());
  if (session != nullptr) SSL_set_session(ssl.get(), session);
  if (!host.empty()) {
    boost::system::error_code not_an_address;
    (void)asio::ip::make_address(host, not_an_address);
    // An address is checked against the certificate's addresses, and SNI carries names only (RFC 6066, 3).
    const bool set = not_an_address ? SSL_set_tlsext_host_name(ssl.get(), host.c_str()) == 1 &&
                                          SSL_set1_host(ssl.get(), host.c_str()) == 1
                                    : X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), host.c_str()) == 1;
    if (!set) co_return self_error(ErrorKind::kInternal, "host name not usable");
  }
  attach(std::move(ssl));
  co_return co_await handshake(deadline);
}

Task<Status> Stream::handshake(Deadline deadline) {
  for (;;) {
    if (state_ == State::kClosed) co_return kClosedError;
    ERR_clear_error();
    holds_bytes_ = false;
    const int outcome = SSL_do_handshake(ssl_.get());
    if (outcome == 1) {
      holds_bytes_ = true;  // and a read that finds nothing gives back the record buffer
      co_return ok();
    }
    const Result<std::size_t> why = tls_failed(outcome, Side::kRead);
    if (why) {
      state_ = State::kBroken;
      co_return broken("peer closed during the handshake", 0);
    }
    if (why.error().kind != ErrorKind::kWouldBlock) {
      const bool peer_refused = SSL_get_verify_result(ssl_.get()) != X509_V_OK;
      co_return self_error(ErrorKind::kProtocol, peer_refused ? "certificate not accepted" : "TLS handshake failed",
                           why.error().os_code);
    }
    SLUICE_CO_TRY(co_await wait_readable(deadline));
  }
}

void Stream::say_goodbye() noexcept {
  const bool possible = ssl_ && (state_ == State::kOpen || state_ == State::kEnded) && !write_pending_ &&
                        !writing_failed_ && SSL_is_init_finished(ssl_.get()) != 0 &&
                        (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) == 0;
  if (!possible) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
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
  readable_ = true;
  std::array<char, 1> byte;
  const Result<std::size_t> read = try_read(byte);
  return !read && read.error().kind == ErrorKind::kWouldBlock;
}

bool Stream::is_open() const noexcept { return state_ != State::kClosed; }

std::string_view Stream::alpn() const noexcept {
  if (!ssl_) return {};
  const unsigned char* name = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &length);
  return {reinterpret_cast<const char*>(name), length};
}

}  // namespace sluice::net
