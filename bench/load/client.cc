#include "load/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace sluice::bench {
namespace {

constexpr std::size_t kReadBytes = 32 * 1024;

int store_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<Client*>(SSL_get_app_data(ssl))->take_session(session);
  return 1;  // the reference is ours now
}

}  // namespace

std::uint64_t now_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

SSL_CTX* make_client_tls() {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set1_groups_list(context, "X25519");
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, store_session);
  static constexpr unsigned char kProtocols[] = "\x08http/1.1";
  SSL_CTX_set_alpn_protos(context, kProtocols, sizeof(kProtocols) - 1);
  return context;
}

void Client::take_session(SSL_SESSION* session) noexcept {
  if (!keep_sessions_) {
    SSL_SESSION_free(session);
    return;
  }
  forget_session();
  session_ = session;
}

void Client::forget_session() noexcept {
  SSL_SESSION_free(session_);
  session_ = nullptr;
}

std::string Client::cipher() const {
  if (ssl_ == nullptr) return "none";
  return std::string(SSL_get_version(ssl_)) + " " + SSL_get_cipher_name(ssl_);
}

void Client::open(const std::string& host, std::uint16_t port) {
  opened_at = now_ns();
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return fail(Fault::kConnect);
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  epoll_event interest{};
  interest.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  interest.data.ptr = this;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket_, &interest);
  state_ = State::kConnecting;
  const int result = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (result != 0 && errno != EINPROGRESS) fail(Fault::kConnect);
}

void Client::close(Farewell farewell) noexcept {
  if (ssl_ != nullptr) {
    // Without a shutdown, even a quiet one, OpenSSL would mark the session as not to be resumed.
    if (farewell == Farewell::kNone) SSL_set_quiet_shutdown(ssl_, 1);
    if (state_ >= State::kReady) SSL_shutdown(ssl_);
    SSL_free(ssl_);
    ERR_clear_error();
    ssl_ = nullptr;
  }
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
  state_ = State::kClosed;
}

void Client::fail(Fault fault) {
  close(Farewell::kNone);
  owner_->failed(*this, fault);
}

void Client::become_ready() {
  state_ = State::kReady;
  owner_->opened(*this);
}

void Client::start(const std::string& request, std::uint64_t intended_ns) {
  request_ = &request;
  sent_ = 0;
  intended = intended_ns;
  last_event = 0;
  reader_.reset();
  state_ = State::kSending;
  advance_sending();
}

void Client::advance() {
  switch (state_) {
    case State::kClosed:
      return;
    case State::kConnecting:
      return advance_connecting();
    case State::kHandshake:
      return advance_handshake();
    case State::kSending:
      return advance_sending();
    case State::kReady:
    case State::kReading:
      return advance_reading();
  }
}

void Client::advance_connecting() {
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return fail(Fault::kConnect);
  if (tls_ == nullptr) return become_ready();
  ssl_ = SSL_new(tls_);
  SSL_set_fd(ssl_, socket_);
  SSL_set_app_data(ssl_, this);
  if (session_ != nullptr) SSL_set_session(ssl_, session_);
  SSL_set_connect_state(ssl_);
  state_ = State::kHandshake;
  advance_handshake();
}

void Client::advance_handshake() {
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) return become_ready();
  const int why = SSL_get_error(ssl_, result);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return;
  ERR_clear_error();
  fail(Fault::kHandshake);
}

long Client::read_some(char* into, std::size_t room) noexcept {
  if (ssl_ == nullptr) {
    const ssize_t count = ::recv(socket_, into, room, 0);
    if (count > 0) return count;
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
  }
  const int count = SSL_read(ssl_, into, static_cast<int>(room));
  if (count > 0) return count;
  const int why = SSL_get_error(ssl_, count);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return 0;
  ERR_clear_error();
  return -1;
}

long Client::write_some(const char* from, std::size_t length) noexcept {
  if (ssl_ == nullptr) {
    const ssize_t count = ::send(socket_, from, length, MSG_NOSIGNAL);
    if (count >= 0) return count;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
  }
  const int count = SSL_write(ssl_, from, static_cast<int>(length));
  if (count > 0) return count;
  const int why = SSL_get_error(ssl_, count);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return 0;
  ERR_clear_error();
  return -1;
}

void Client::advance_sending() {
  while (sent_ < request_->size()) {
    const long count = write_some(request_->data() + sent_, request_->size() - sent_);
    if (count == 0) return;
    if (count < 0) return fail(Fault::kClosed);
    sent_ += static_cast<std::size_t>(count);
  }
  state_ = State::kReading;
}

void Client::advance_reading() {
  static thread_local char buffer[kReadBytes];
  while (state_ == State::kReading || state_ == State::kReady) {
    const long count = read_some(buffer, sizeof(buffer));
    if (count == 0) return;
    if (count < 0 || state_ == State::kReady) {
      if (state_ == State::kReading && reader_.until_close()) {
        owner_->answered(*this);
        return;
      }
      return fail(Fault::kClosed);
    }
    const std::uint32_t events_before = reader_.events();
    const Reading reading = reader_.feed({buffer, static_cast<std::size_t>(count)});
    if (reading == Reading::kBroken) return fail(Fault::kBroken);
    owner_->received(*this, reader_.events() - events_before);
    if (state_ != State::kReading) return;  // it was closed in the call
    if (reading == Reading::kComplete) {
      state_ = State::kReady;
      owner_->answered(*this);
      return;  // the next answer makes an edge of its own
    }
  }
}

}  // namespace sluice::bench
