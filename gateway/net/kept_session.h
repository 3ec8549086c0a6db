// The last TLS session that a server gave, which the next connection to it resumes: no certificates, no signature, and
// with TLS 1.2 a round trip less.
#pragma once

#include <openssl/ssl.h>

#include <memory>

namespace sluice::net {

// Thread:   owning worker only.
// Lifetime: outlives every connection that it listens to. One for each server: a session is proof of who it was with.
class KeptSession final {
 public:
  // Makes connections of `context` tell of their sessions, and has OpenSSL keep none itself.
  static void prepare(SSL_CTX* context) noexcept;

  // What Stream::handshake_as_client may resume; null: there is none yet. Valid until the next turn of the loop.
  [[nodiscard]] SSL_SESSION* get() const noexcept { return session_.get(); }
  // Keeps what the server gives on this connection, whose handshake is over: TLS 1.3 sends it any time afterwards.
  void listen_to(SSL* ssl) noexcept;

 private:
  struct SessionDeleter {
    void operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }
  };
  static int slot() noexcept;
  static int on_session(SSL* ssl, SSL_SESSION* session) noexcept;

  std::unique_ptr<SSL_SESSION, SessionDeleter> session_;
};

}  // namespace sluice::net
