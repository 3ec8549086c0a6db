// Stream, where it speaks TLS: OpenSSL straight on the socket, and then its own records.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>
#include <poll.h>

#include <array>
#include <optional>
#include <utility>

#include "net/stream.h"

namespace sluice::net {

namespace {

// Why a certificate is not believed, and what helps.
const char* certificate_fault(long result) noexcept {
  switch (result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "the server's certificate is signed by a CA that is not trusted here; name the file of the CA that signed "
             "it";
    case X509_V_ERR_INVALID_CA:
      return "the server's certificate is signed by one that is no CA certificate; it needs another";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the server's certificate has expired; renew it, or set this machine's clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the server's certificate is not valid yet; set this machine's clock";
    case X509_V_ERR_HOSTNAME_MISMATCH:
      return "the server's certificate is for another host name; use a name that stands in it";
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the server's certificate is not for this address; use a name or an address that stands in it";
    default:
      return X509_verify_cert_error_string(result);  // static text
  }
}

// `reason`: OpenSSL's.
const char* handshake_fault(SSL* ssl, int reason) noexcept {
  if (const long result = SSL_get_verify_result(ssl); result != X509_V_OK)
    return SSL_is_server(ssl) != 0 ? "certificate not accepted" : certificate_fault(result);
  switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
      return "the server does not speak TLS; is it a plain http:// port?";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
      return "the server speaks no version of TLS that is accepted here";
    default:
      return "TLS handshake failed";
  }
}

}  // namespace

// BIO_s_socket would raise SIGPIPE, and would ask the kernel again where a short read has already said "empty".
struct Stream::Wire {
  static Stream& of(BIO* bio) noexcept { return *static_cast<Stream*>(BIO_get_data(bio)); }

  // OpenSSL asks for each header and each body; the socket is asked for all that is there, and what OpenSSL does not
  // ask for is left for who comes after it.
  static Result<std::size_t> receive_raw(Stream& stream, char* into, std::size_t size_bytes) noexcept {
    if (!stream.records_->has_raw()) {
      const Result<std::size_t> n = stream.receive_records();
      if (!n || *n == 0) return n;
    }
    return stream.records_->take_raw(into, size_bytes);
  }

  static int read(BIO* bio, char* into, std::size_t size_bytes, std::size_t* got) noexcept {
    BIO_clear_retry_flags(bio);
    Stream& stream = of(bio);
    if (stream.turn_.spent()) {
      stream.holds_bytes_ = true;  // perhaps: the next turn finds out
      BIO_set_retry_read(bio);
      return 0;
    }
    stream.turn_.took_records(1);
    const Result<std::size_t> n =
        stream.records_ ? receive_raw(stream, into, size_bytes) : stream.receive(into, size_bytes);
    *got = n ? *n : 0;
    if (!n && n.error().kind == ErrorKind::kWouldBlock) BIO_set_retry_read(bio);
    return *got != 0 ? 1 : 0;
  }
  static int write(BIO* bio, const char* from, std::size_t size_bytes, std::size_t* put) noexcept {
    BIO_clear_retry_flags(bio);
    const Result<std::size_t> n = of(bio).send(from, size_bytes);
    *put = n ? *n : 0;
    if (of(bio).records_) of(bio).records_->count_written({from, *put});
    if (!n && n.error().kind == ErrorKind::kWouldBlock) BIO_set_retry_write(bio);
    return *put != 0 ? 1 : 0;
  }
  // Each message that OpenSSL reads or writes. Behind a client's handshake there are a few tickets, and a KeyUpdate now
  // and then; OpenSSL itself would go on as long as they come.
  static void on_message(const SSL* ssl, int where, int) noexcept {
    if ((where & SSL_CB_LOOP) == 0) return;
    Stream& stream = of(SSL_get_rbio(ssl));
    if (!stream.shaken_ || stream.messages_.take(Mono::now())) return;
    stream.flooded_ = true;
    SSL_set_shutdown(const_cast<SSL*>(ssl), SSL_RECEIVED_SHUTDOWN);  // it stops before the next record
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
    SSL_set_read_ahead(ssl_.get(), records_ ? 0 : 1);
    SSL_set_info_callback(ssl_.get(), &Wire::on_message);
  }
  BIO_set_data(bio, this);
  holds_bytes_ = true;
  layer_ = Layer::kOpenSsl;
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

// What was read before may have been all, exactly.
void Stream::look_again() noexcept {
  char byte = 0;
  if (readable_ && ::recv(fd_, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN) readable_ = false;
}

Task<Status> Stream::handshake_as_server(SSL_CTX* context, Deadline deadline, Handshakes* handshakes) {
  std::optional<Handshakes::Running> running;
  if (handshakes != nullptr) {
    look_again();
    SLUICE_CO_TRY(co_await wait_readable(deadline));
    running.emplace(*handshakes, *this);
  }
  SslPtr ssl(SSL_new(context));
  if (!ssl) co_return self_error(ErrorKind::kInternal, "no TLS session");
  SSL_set_accept_state(ssl.get());
  records_ = std::make_unique<TlsRecords>();
  records_->listen_to(ssl.get());
  attach(std::move(ssl));
  co_return co_await handshake(deadline, handshakes);
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
  co_return co_await handshake(deadline, nullptr);
}

// To compute for one that will not read it is what an attacker wants: a hello and a FIN cost it nothing.
bool Stream::peer_has_left() noexcept {
  pollfd socket{.fd = fd_, .events = POLLRDHUP, .revents = 0};
  return ::poll(&socket, 1, 0) == 1 && (socket.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

Task<Status> Stream::await_turn(Handshakes& handshakes, Step step) {
  const Handshakes::Entry entry = co_await handshakes.enter();
  if (entry == Handshakes::Entry::kFull) co_return self_error(ErrorKind::kOverloaded, "too many TLS handshakes wait");
  if (state_ == State::kClosed) co_return kClosedError;
  if (step == Step::kHello && peer_has_left())
    co_return self_error(ErrorKind::kClosed, "peer left during the handshake");
  co_return ok();
}

Task<Status> Stream::handshake(Deadline deadline, Handshakes* handshakes) {
  for (Step step = Step::kHello;; step = Step::kLater) {
    if (handshakes != nullptr) SLUICE_CO_TRY(co_await await_turn(*handshakes, step));
    if (state_ == State::kClosed) co_return kClosedError;
    ERR_clear_error();
    holds_bytes_ = false;
    const int outcome = SSL_do_handshake(ssl_.get());
    if (outcome == 1) {
      take_over();
      co_return ok();
    }
    const Result<std::size_t> why = tls_failed(outcome, Side::kRead);
    if (why) {
      state_ = State::kBroken;
      co_return broken("peer closed during the handshake", 0);
    }
    if (why.error().kind != ErrorKind::kWouldBlock) {
      if (records_ && is_http(why.error().os_code)) {
        go_on_in_plain();
        co_return client_error(ErrorKind::kBadRequest, "the client speaks HTTP where TLS is spoken");
      }
      co_return self_error(ErrorKind::kProtocol, handshake_fault(ssl_.get(), why.error().os_code), why.error().os_code);
    }
    SLUICE_CO_TRY(co_await wait_readable(deadline));
  }
}

// Whether what a server could not take for a hello was a request. OpenSSL knows the commonest methods by their first five
// bytes; the line of any other is still there.
bool Stream::is_http(int reason) noexcept {
  if (reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST) return true;
  if (reason != SSL_R_WRONG_VERSION_NUMBER) return false;
  std::array<char, 512> start;
  const std::string_view rest(start.data(), records_->take_raw(start.data(), start.size()));
  return rest.find(" HTTP/1.") != std::string_view::npos;
}

// What TLS has read is gone; what comes is the request's rest, of which nothing more is wanted.
void Stream::go_on_in_plain() noexcept {
  ssl_.reset();
  records_.reset();
  layer_ = Layer::kPlain;
  state_ = State::kOpen;
  read_needs_ = Side::kRead;
  write_needs_ = Side::kWrite;
  holds_bytes_ = false;
}

// The handshake is over.
void Stream::take_over() {
  const unsigned char* name = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &length);
  alpn_.assign(reinterpret_cast<const char*>(name), length);
  shaken_ = true;
  holds_bytes_ = true;  // and a read that finds nothing gives back the record buffer
  if (!records_ || !records_->take_over(ssl_.get())) return;
  layer_ = Layer::kRecords;
  read_needs_ = Side::kRead;
  write_needs_ = Side::kWrite;
  if (SSL_get0_peer_certificate(ssl_.get()) == nullptr) ssl_.reset();
}

void Stream::say_goodbye() noexcept {
  const bool possible =
      (state_ == State::kOpen || state_ == State::kEnded) && !write_pending_ && !writing_failed_ && !said_goodbye_;
  if (!possible) return;
  said_goodbye_ = true;
  if (layer_ == Layer::kRecords) {
    records_->seal_goodbye();
    (void)flush_records();
  } else if (layer_ == Layer::kOpenSsl && SSL_is_init_finished(ssl_.get()) != 0) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
}

Result<std::size_t> Stream::read_ssl(std::span<char> into) noexcept {
  holds_bytes_ = false;
  ERR_clear_error();
  std::size_t n = 0;
  const int outcome = SSL_read_ex(ssl_.get(), into.data(), into.size(), &n);
  if (flooded_) {
    state_ = State::kBroken;
    return broken("too many TLS messages without content", 0);
  }
  if (outcome <= 0) return tls_failed(outcome, Side::kRead);
  holds_bytes_ = SSL_has_pending(ssl_.get()) != 0 || (records_ && records_->has_raw());
  return n;
}

Result<std::size_t> Stream::write_ssl(std::string_view bytes) noexcept {
  ERR_clear_error();
  std::size_t n = 0;
  const int outcome = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n);
  write_pending_ = outcome <= 0;
  if (outcome > 0) return n;
  return tls_failed(outcome, Side::kWrite);
}

Result<std::size_t> Stream::read_records(std::span<char> into) noexcept {
  for (;;) {
    const Result<std::size_t> n = records_->read(into, turn_);
    holds_bytes_ = turn_.spent() || (n && records_->can_read());
    if (n) return n;
    if (n.error().kind != ErrorKind::kWouldBlock) {
      (void)flush_records();  // the alert that says why
      state_ = State::kBroken;
      return n;
    }
    if (turn_.spent()) return kWouldBlockError;
    const Result<std::size_t> received = receive_records();
    if (!received || *received == 0) {
      truncated_ = received.has_value();
      return received;
    }
  }
}

// What the socket has, to where the records lie.
Result<std::size_t> Stream::receive_records() noexcept {
  const std::span<char> room = records_->room();
  const Result<std::size_t> n = receive(room.data(), room.size());
  if (n && *n != 0) {
    records_->received(*n);
  } else {
    records_->give_up_room();
  }
  return n;
}

Result<std::size_t> Stream::write_records(std::string_view bytes) noexcept {
  if (!write_pending_) {
    sealed_bytes_ = static_cast<std::uint16_t>(records_->seal(bytes));
    if (sealed_bytes_ == 0) {
      state_ = State::kBroken;
      return broken("TLS failed", 0);
    }
  }
  SLUICE_TRY(flush_records());
  return std::size_t{sealed_bytes_};
}

Status Stream::flush_records() noexcept {
  write_pending_ = true;
  while (!records_->unsent().empty()) {
    const Result<std::size_t> n = send(records_->unsent().data(), records_->unsent().size());
    if (!n) return n.error();
    records_->sent(*n);
  }
  write_pending_ = false;
  return ok();
}

}  // namespace sluice::net
