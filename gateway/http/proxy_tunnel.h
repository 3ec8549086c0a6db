// Asks an HTTP proxy for a tunnel to a server:
//
//   CONNECT HOST:PORT HTTP/1.1 CRLF  host: HOST:PORT CRLF  [proxy-authorization: Basic … CRLF]  CRLF
//   HTTP/1.x 2xx … CRLF CRLF, and then the server's bytes     (RFC 9110, 9.3.6)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/wiped_string.h"
#include "net/stream.h"

namespace sluice::http {

// The proxy that stands between the gateway and a server.
struct Proxy {
  std::string host;  // an IPv6 address without its brackets; empty: there is none
  std::uint16_t port = 0;
  WipedString authorization;  // "Basic …", never logged; empty: none is sent
  [[nodiscard]] bool given() const noexcept { return !host.empty(); }
};

// `stream` leads to the proxy, and behind an ok() to `host` (without brackets) and `port`. Errors: kProtocol, retry
// yes, in words that begin with "the proxy": it refused, or said what is no HTTP; kTimeout: `deadline` has passed.
[[nodiscard]] Task<Status> open_tunnel(net::Stream& stream, const Proxy& proxy, const std::string& host,
                                       std::uint16_t port, net::Deadline deadline);

}  // namespace sluice::http
