// One connection of the load generator: connects, shakes hands, sends a request, reads the answer. Never waits:
// advance() does what can be done now, and the edge-triggered epoll of its Driver calls it again.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <string>

#include "load/answer_reader.h"
#include "load/tally.h"

namespace sluice::bench {

class Client;

// What a Client tells its Driver. Called from within advance(); the client may be closed or started in the call.
class ClientEvents {
 public:
  virtual void opened(Client& client) = 0;                          // connected, hands shaken
  virtual void received(Client& client, std::uint32_t events) = 0;  // payload came, with so many whole events
  virtual void answered(Client& client) = 0;                        // the whole answer is there
  virtual void failed(Client& client, Fault fault) = 0;             // it is closed now

 protected:
  ~ClientEvents() = default;
};

std::uint64_t now_ns() noexcept;

// Thread:   its Driver's.
// Lifetime: the SSL_CTX and the ClientEvents outlive it.
// Cancel:   close() at any time.
class Client final {
 public:
  enum class State : std::uint8_t { kClosed, kConnecting, kHandshake, kReady, kSending, kReading };

  Client(ClientEvents& owner, SSL_CTX* tls, int epoll) noexcept : owner_(&owner), tls_(tls), epoll_(epoll) {}
  ~Client() {
    forget_session();
    close(Farewell::kNone);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void open(const std::string& host, std::uint16_t port);
  // REQUIRES: ready(). `request` stays until the answer is there. `intended_ns`: when the call was due.
  void start(const std::string& request, std::uint64_t intended_ns);
  void advance();

  enum class Farewell : std::uint8_t { kNone, kNotify };  // whether a close_notify is sent
  void close(Farewell farewell) noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] bool ready() const noexcept { return state_ == State::kReady; }
  [[nodiscard]] const AnswerReader& answer() const noexcept { return reader_; }
  [[nodiscard]] bool resumed() const noexcept { return ssl_ != nullptr && SSL_session_reused(ssl_) == 1; }
  [[nodiscard]] std::string cipher() const;
  void keep_sessions(bool keep) noexcept { keep_sessions_ = keep; }
  void take_session(SSL_SESSION* session) noexcept;

  std::uint64_t opened_at = 0;   // connect() was called
  std::uint64_t intended = 0;    // the call under way
  std::uint64_t last_event = 0;  // 0: none yet
  std::uint64_t wake_at = 0;     // when to open again after a fault

 private:
  void advance_connecting();
  void advance_handshake();
  void advance_sending();
  void advance_reading();
  // > 0: bytes moved; 0: would block; < 0: closed or broken.
  long read_some(char* into, std::size_t room) noexcept;
  long write_some(const char* from, std::size_t length) noexcept;
  void fail(Fault fault);
  void become_ready();
  void forget_session() noexcept;

  ClientEvents* owner_;
  SSL_CTX* tls_;  // nullptr: plain
  int epoll_;
  int socket_ = -1;
  State state_ = State::kClosed;
  bool keep_sessions_ = false;
  SSL* ssl_ = nullptr;
  SSL_SESSION* session_ = nullptr;
  const std::string* request_ = nullptr;
  std::size_t sent_ = 0;
  AnswerReader reader_;
};

// A client context: TLS 1.3 with one cipher suite, so that every server does the same work; certificates are not
// checked, what is measured stands on the other side.
SSL_CTX* make_client_tls();

}  // namespace sluice::bench
