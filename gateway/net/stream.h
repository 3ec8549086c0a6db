// One TCP connection, plain or TLS, on one worker: straight on the non-blocking socket, waiting by net/readiness.
//
// asio::ssl::stream copies every byte through two memory BIOs and keeps 34 KiB for each connection. Here a client's
// end, and a server's of TLS 1.2, keeps the SSL object and no buffer while idle (SSL_MODE_RELEASE_BUFFERS): 14 KiB. A
// server's end of TLS 1.3 gives even that up after the handshake: see tls_records.h.
#pragma once

#include <openssl/ssl.h>

#include <boost/asio/ip/tcp.hpp>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "net/handshakes.h"
#include "net/loop.h"
#include "net/signal.h"
#include "net/tls_records.h"
#include "net/turn.h"

namespace sluice::net {

using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Endpoint = asio::ip::tcp::endpoint;

struct SslDeleter {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, SslDeleter>;

// Thread:   owning worker only. release() and the constructor move a connection between workers, with nothing pending.
// Lifetime: no operation may be under way at destruction; close() first, then let the waiting coroutine return.
// Cancel:   close() makes every operation under way return kClosed; a deadline makes one return kTimeout.
class Stream final : private Readiness::Watched {
 public:
  // Takes a connected socket; makes it non-blocking, with TCP_NODELAY.
  Stream(Loop& loop, Socket socket);
  Stream(Stream&&) = delete;
  ~Stream();

  // Connects within `deadline`. Error: kConnect or kTimeout, retry yes.
  static Task<Result<std::unique_ptr<Stream>>> connect(Loop& loop, Endpoint endpoint, Deadline deadline);

  // Puts TLS on the connection. `context` is kept by SSL's own count. Records go without OpenSSL where it has
  // TlsRecords::on_key_log as its key log callback. With `handshakes` nothing is made before the peer's first bytes, its
  // steps wait for their turn, and none is computed for a peer that has left. Error kOverloaded: too many wait;
  // kBadRequest: the client spoke HTTP without TLS; the connection is plain from then on, so that it can be told.
  Task<Status> handshake_as_server(SSL_CTX* context, Deadline deadline, Handshakes* handshakes = nullptr);
  // Sends `host` as SNI and checks the certificate against it, if not empty. `session`: one to resume, or null.
  Task<Status> handshake_as_client(SSL_CTX* context, const std::string& host, Deadline deadline,
                                   SSL_SESSION* session = nullptr);

  // Reads what is there, or waits for it. 0 bytes: the peer ended its side (FIN or close_notify); see truncated().
  Task<Result<std::size_t>> read_some(std::span<char> into, Deadline deadline);
  // Writes all of `bytes`, which stay untouched until the call returns.
  Task<Status> write(std::string_view bytes, Deadline deadline);

  // The same without waiting: kWouldBlock where nothing can be done now, or where the stream's turn is spent (turn.h):
  // the wait, or the watch, is then over in a later turn of the loop. try_write may take a part. After kWouldBlock
  // the next try_read waits for a wait_readable() or a watch to see readiness; the next try_write offers the same bytes
  // again, or more behind them (TLS has begun a record with them), and nothing else is written but close().
  Result<std::size_t> try_read(std::span<char> into) noexcept;
  Result<std::size_t> try_write(std::string_view bytes) noexcept;

  // Waits until try_read / try_write is worth another try; at once where the last one did not say kWouldBlock. One
  // waiting coroutine each. A deadline that has passed ends also the wait of a reader whose peer never pauses. Error:
  // kTimeout, kClosed.
  Task<Status> wait_readable(Deadline deadline);
  Task<Status> wait_writable(Deadline deadline);

  // From now on readiness to read also notifies `signal` (null: nobody), beside a read that waits: how a running call
  // sees that its client left. One notification per readiness; try_read until kWouldBlock arms the next.
  void watch_readable(Signal* signal) noexcept;

  // What was read was made of so many parts that cost as much as a record each: frames, chunks.
  void charge(std::size_t records) noexcept { turn_.took_records(records); }

  // The last kWouldBlock may say this, and not that there is nothing.
  [[nodiscard]] bool turn_spent() const noexcept { return turn_.spent(); }

  // Sends close_notify if it can be sent now, then closes. Never waits, may be called twice.
  void close() noexcept;
  // Closes with a RST and no close_notify, so that the peer sees at once that the answer is not whole.
  void abort() noexcept;
  // Ends our side only: close_notify and FIN; reading goes on. For a last answer to a peer that still sends.
  void end_writing() noexcept;
  [[nodiscard]] bool is_open() const noexcept;
  // Asks the kernel, whatever the last readiness said: the peer has neither ended nor sent a byte. For a pooled
  // connection before its next use; one that is not quiet has lost a byte and can only be closed.
  [[nodiscard]] bool is_quiet() noexcept;
  // The peer's end was a bare FIN where TLS promises a close_notify: what came before may have been cut off by anyone.
  [[nodiscard]] bool truncated() const noexcept { return truncated_; }

  // Bytes that this end has given to the kernel, TLS's own among them.
  [[nodiscard]] std::uint64_t sent_bytes() const noexcept { return sent_bytes_; }
  // How many of those the peer's kernel has acknowledged. Nothing: nobody can tell; REQUIRES a stream from connect().
  [[nodiscard]] std::optional<std::uint64_t> acknowledged_bytes() noexcept;
  // How long ago the peer's last bytes arrived, whether or not anybody has read them. Nothing: nobody can tell.
  [[nodiscard]] std::optional<std::chrono::milliseconds> last_arrival_age() noexcept;

  // null: plain, or no more of use: an SSL object whose peer showed a certificate stays.
  [[nodiscard]] SSL* ssl() const noexcept { return ssl_.get(); }
  [[nodiscard]] const std::string& alpn() const noexcept { return alpn_; }  // empty: none
  [[nodiscard]] const Endpoint& peer() const noexcept { return peer_; }
  [[nodiscard]] Loop& loop() noexcept { return loop_; }

  // Gives up the connection, to be taken up by the other constructor on another loop. What TLS has already received
  // moves along: the new owner must try_read before it waits. REQUIRES: no operation under way.
  struct Parts {
    int fd = -1;
    SslPtr ssl;
    std::unique_ptr<TlsRecords> records;
    std::string alpn;
    Endpoint peer;
  };
  [[nodiscard]] Parts release();
  Stream(Loop& loop, Parts parts);

 private:
  enum class Side : std::uint8_t { kRead, kWrite };
  enum class Outcome : std::uint8_t { kReady, kTimeout, kClosed };
  // How the stream's peer ended it, or did not yet.
  enum class State : std::uint8_t { kOpen, kEnded, kBroken, kClosed };
  enum class Step : std::uint8_t { kHello, kLater };  // of a handshake
  // Who speaks on the socket. Nothing leads back to kPlain but a client that never spoke TLS.
  enum class Layer : std::uint8_t { kPlain, kOpenSsl, kRecords };

  static constexpr Error kWouldBlockError = self_error(ErrorKind::kWouldBlock, "nothing to do now");
  static constexpr Error kTimeoutError = self_error(ErrorKind::kTimeout, "peer took too long");
  static constexpr Error kClosedError = self_error(ErrorKind::kClosed, "connection is closed");
  static Error broken(const char* what, int os_code) noexcept { return self_error(ErrorKind::kClosed, what, os_code); }

  // The coroutine that waits for one of the two sides, if any.
  class Waiter final : private Alarm {
   public:
    explicit Waiter(Loop& loop) noexcept : Alarm(loop.wheel()), loop_(loop) {}
    [[nodiscard]] bool waits_for(Side side) const noexcept { return waiting_ != nullptr && side_ == side; }
    struct Waiting {
      Waiter& waiter;
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> waiting) const noexcept { waiter.waiting_ = waiting; }
      [[nodiscard]] Outcome await_resume() const noexcept { return waiter.outcome_; }
    };
    // `co_await waiter.wait(side, deadline)` gives an Outcome.
    Waiting wait(Side side, Deadline deadline) noexcept;
    void wake(Outcome outcome) noexcept;        // resumes inside the call
    void wake_later(Outcome outcome) noexcept;  // in a later turn

   private:
    void expired() noexcept override { wake_later(Outcome::kTimeout); }

    Loop& loop_;
    Side side_ = Side::kRead;
    Outcome outcome_ = Outcome::kReady;  // of the last wait
    std::coroutine_handle<> waiting_;
  };

  struct Link;  // what a rest holds: the stream may be gone when its handler comes
  class Rested;
  struct Wire;  // the BIO between SSL and the socket

  Stream(Loop& loop, int fd, Endpoint peer);
  void enter() noexcept;
  void leave() noexcept;
  void arm(Side side) noexcept;
  [[nodiscard]] bool disarm(Side side) noexcept;
  void rest() noexcept;
  void became_ready(Readiness::Edge edge) noexcept override;
  void wake(bool readable, bool writable) noexcept;
  Task<Status> wait(Waiter& waiter, Side side, Deadline deadline);
  Result<std::size_t> receive(char* into, std::size_t size_bytes) noexcept;
  Result<std::size_t> send(const char* from, std::size_t size_bytes) noexcept;
  void shut() noexcept;

  // TLS: stream_tls.cc.
  void attach(SslPtr ssl) noexcept;
  Task<Status> handshake(Deadline deadline, Handshakes* handshakes);
  Task<Status> await_turn(Handshakes& handshakes, Step step);
  [[nodiscard]] bool peer_has_left() noexcept;
  void look_again() noexcept;
  Result<std::size_t> tls_failed(int outcome, Side side) noexcept;
  [[nodiscard]] bool is_http(int reason) noexcept;
  void go_on_in_plain() noexcept;
  void take_over();
  Result<std::size_t> read_ssl(std::span<char> into) noexcept;
  Result<std::size_t> write_ssl(std::string_view bytes) noexcept;
  Result<std::size_t> read_records(std::span<char> into) noexcept;
  Result<std::size_t> receive_records() noexcept;
  Result<std::size_t> write_records(std::string_view bytes) noexcept;
  Status flush_records() noexcept;
  void say_goodbye() noexcept;

  Loop& loop_;
  int fd_;  // -1: closed, or given up
  SslPtr ssl_;
  std::unique_ptr<TlsRecords> records_;  // of a server's end
  std::string alpn_;
  Endpoint peer_;
  Link* link_;  // counted by a rest and by this
  Waiter reader_;
  Waiter writer_;
  Signal* watcher_ = nullptr;
  State state_ = State::kOpen;
  Layer layer_ = Layer::kPlain;
  Turn turn_;
  // Whether the socket may have bytes, or room: false from the call that found none to the next edge, so that nobody asks
  // the kernel in vain. A short read says that there is no more, but for the end of a peer that has ended.
  bool readable_ = false;
  bool writable_ = true;
  bool peer_ended_ = false;
  bool read_armed_ = false;  // somebody waits for the edge
  bool write_armed_ = false;
  bool read_ended_ = false;
  bool truncated_ = false;
  bool writing_failed_ = false;    // what the peer sent before can still be read
  bool holds_bytes_ = false;       // TLS may have received bytes that nobody has asked it for
  Side read_needs_ = Side::kRead;  // TLS may have to write in order to read, and the other way round
  Side write_needs_ = Side::kWrite;
  bool write_pending_ = false;  // TLS holds part of a record that the socket did not take
  bool said_goodbye_ = false;
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t acknowledged_before_ = 0;  // the kernel's count when the connection was made: SYN may have counted
  bool shaken_ = false;                    // the handshake is over
  bool flooded_ = false;                   // by messages behind it
  Allowance messages_{TlsRecords::kMostMessages, TlsRecords::kMessageInterval};  // behind it, where OpenSSL speaks
  std::uint16_t sealed_bytes_ = 0;  // content of the records that the socket has not taken whole
};

}  // namespace sluice::net
