// Serves the connections that one worker accepted: TLS, then requests one after another, or a tunnel.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1/server_connection.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/task_group.h"
#include "net/tls_context.h"
#include "proxy/exchange.h"

namespace sluice::server {

// How connections of one listener are treated. Immutable; a reload makes a new one.
struct FrontSettings {
  std::string listener;  // its address, as the conf has it
  bool tls = true;
  std::vector<std::string_view> protocols{net::kHttp11Alpn, net::kTunnelAlpn};  // what is spoken here, by ALPN name
  net::Networks proxy_protocol;       // peers whose connections begin with a PROXY header
  net::Networks trust_forwarded_for;  // peers whose X-Forwarded-For is believed
  std::chrono::milliseconds handshake_time{10'000};
  net::Handshakes::Bounds handshakes;  // of each worker
  std::shared_ptr<SSL_CTX> context;    // null: plain. Shared: connections in their handshake outlive a reload
  http::ConnectionLimits limits;
  proxy::Cors cors;
};

// Connections of the whole process, under one cap.
struct ConnectionCount {
  std::atomic<std::int64_t> open{0};
  std::atomic<std::int64_t> cap{100'000};
};

// Thread:   owning worker only.
// Lifetime: tasks.join() before destruction.
// Cancel:   drain(): idle connections close, busy ones close after their answer. cut(): every connection closes now.
class Front final {
 public:
  // Takes over a connection whose handshake chose the tunnel.
  using TunnelHandler = std::function<void(std::unique_ptr<net::Stream>)>;

  Front(proxy::Worker& worker, net::TaskGroup& tasks, ConnectionCount& count) noexcept
      : worker_(worker), tasks_(tasks), count_(count), handshakes_(worker.loop, {}) {}

  void set_tunnel_handler(TunnelHandler handler) { tunnels_ = std::move(handler); }

  // Starts to serve an accepted connection.
  void accept(net::Socket socket, std::shared_ptr<const FrontSettings> settings);

  void drain() noexcept;
  void cut() noexcept;
  [[nodiscard]] std::size_t connections() const noexcept { return connections_.size(); }

 private:
  struct Connection {
    http::h1::ServerConnection* http = nullptr;
    bool busy = false;
  };

  // Who serves a connection, by the name that its handshake chose. One row for each protocol.
  struct Protocol {
    std::string_view alpn;
    Task<void> (Front::*serve)(std::unique_ptr<net::Stream>, const FrontSettings&, net::Address);
  };
  static const std::array<Protocol, 2> kProtocols;
  // Null: nobody, or not on this listener.
  [[nodiscard]] static const Protocol* protocol_of(const net::Stream& stream, const FrontSettings& settings) noexcept;

  Task<void> serve(net::Socket socket, std::shared_ptr<const FrontSettings> settings);
  Task<Status> secure(net::Stream& stream, const FrontSettings& settings, net::Address& peer);
  Task<void> serve_requests(std::unique_ptr<net::Stream> stream, const FrontSettings& settings, net::Address peer);
  Task<void> serve_tunnel(std::unique_ptr<net::Stream> stream, const FrontSettings& settings, net::Address peer);
  Task<void> serve_request(http::Incoming& client, const proxy::Arrival& arrival);
  Task<void> answer_bad_head(http::Incoming& client, Error error);
  Task<void> answer_in_plain(std::unique_ptr<net::Stream> stream, const FrontSettings& settings);

  proxy::Worker& worker_;
  net::TaskGroup& tasks_;
  ConnectionCount& count_;
  TunnelHandler tunnels_;
  net::Handshakes handshakes_;
  std::list<net::Stream*> securing_;  // from their acceptance to the end of their handshake
  std::list<Connection*> connections_;
  bool draining_ = false;
};

}  // namespace sluice::server
