// TLS as Sluice speaks it: the server context that all workers share and that a reload replaces, and client contexts.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"

namespace sluice::net {

inline constexpr std::string_view kHttp11Alpn = "http/1.1";
inline constexpr std::string_view kTunnelAlpn = "sluice-tunnel/1";

enum class TlsFloor : std::uint8_t { k12, k13 };
enum class Tickets : std::uint8_t { kOff, kOn };

struct ServerTlsOptions {
  std::string certificate_file{};  // PEM chain, leaf first
  std::string key_file{};
  TlsFloor floor = TlsFloor::k13;
  std::string cipher_suites{};  // of TLS 1.3, preferred first, separated by colons; empty: OpenSSL's own
  // Of the key exchange, separated by colons. A hello may ask for the dearest one: ffdhe8192 takes 200 ms, X25519 0.1.
  std::string groups = "X25519:P-256:P-384";
  Tickets tickets = Tickets::kOn;
  std::chrono::seconds ticket_lifetime{2 * 3600};
  std::string tunnel_ca{};  // PEM: who signs agents' certificates; empty: the tunnel's ALPN is not offered
};

// The keys that session tickets are sealed with: a current one, and the one before it, which still opens. A key seals
// for one ticket lifetime, so no ticket outlives the second.
// Thread: any; one short lock in a handshake, none later.
class TicketKeys final {
 public:
  struct Key {
    std::array<unsigned char, 16> name{};
    std::array<unsigned char, 32> cipher{};
    std::array<unsigned char, 32> digest{};
    MonoTime made{};
  };
  explicit TicketKeys(std::chrono::seconds lifetime) : lifetime_(lifetime) {}
  // For keys made before as well.
  void set_lifetime(std::chrono::seconds lifetime) noexcept;
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;
  ~TicketKeys();

  // The key to seal with at `now`: made anew where the last has served its time. False: no random bytes.
  bool seal_key(Key& into, MonoTime now) noexcept;
  enum class Found : std::uint8_t { kNo, kCurrent, kPrevious };
  Found open_key(std::span<const unsigned char, 16> name, Key& into, MonoTime now) noexcept;

 private:
  bool rotate(MonoTime now) noexcept;

  std::mutex mutex_;
  std::chrono::seconds lifetime_;
  Key current_;
  Key previous_;
  bool has_current_ = false;
  bool has_previous_ = false;
};

// The server's side. ALPN: "http/1.1" and, with a tunnel_ca, "sluice-tunnel/1". A client certificate is asked for only
// where the tunnel is offered, is required there, and such a connection neither gets nor resumes a session: a ticket of
// an API connection would otherwise open a tunnel with no certificate at all. (SSL_session_reused() is 0 on every
// tunnel.)
// Thread:   any.
// Lifetime: outlives every connection made from it. (The SSL_CTX itself is kept by each SSL.)
class ServerTls final {
 public:
  // Errors name the file and what is wrong with it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ServerTls>> create(const ServerTlsOptions& options);
  ServerTls(const ServerTls&) = delete;
  ServerTls& operator=(const ServerTls&) = delete;

  // What a new connection uses. Shared, because a reload replaces it while handshakes run.
  [[nodiscard]] std::shared_ptr<SSL_CTX> context() const;

  // What is to take its place. Of this ServerTls alone, which it must not outlive.
  struct Replacement {
    std::shared_ptr<SSL_CTX> context;
    std::chrono::seconds ticket_lifetime{};
  };
  // Changes nothing. Errors: as those of create().
  [[nodiscard]] absl::StatusOr<Replacement> prepare(const ServerTlsOptions& options);
  // For connections to come. Ticket keys stay.
  void install(Replacement replacement);

 private:
  explicit ServerTls(std::chrono::seconds ticket_lifetime) : tickets_(ticket_lifetime) {}

  TicketKeys tickets_;
  mutable std::mutex mutex_;
  std::shared_ptr<SSL_CTX> context_;
};

struct ClientTlsOptions {
  std::string ca_file{};           // PEM; empty: the system's roots
  std::string certificate_file{};  // empty: no client certificate
  std::string key_file{};
  std::vector<std::string> alpn{};
};
// A context for Stream::handshake_as_client: the server's certificate is always checked.
[[nodiscard]] absl::StatusOr<std::shared_ptr<SSL_CTX>> create_client_tls(const ClientTlsOptions& options);

}  // namespace sluice::net
