// The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): who the client is, said by a proxy before us.
//
//   v1: "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", at most 107 bytes
//   v2: 0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A | version 2 and command | family | length (2 bytes, big-endian) |
//   addresses, TLVs
#pragma once

#include <optional>
#include <string_view>

#include "net/stream.h"

namespace sluice::net {

struct ProxyHeader {
  enum class State : std::uint8_t { kMore, kDone, kBad } state = State::kMore;
  std::size_t size_bytes = 0;      // of the header, when done
  std::optional<Endpoint> source;  // none: LOCAL or UNKNOWN, the connection is the proxy's own
};

// Parses what has arrived so far. Never needs more than kProxyHeaderBytes.
inline constexpr std::size_t kProxyHeaderBytes = 16 + 2048;
[[nodiscard]] ProxyHeader parse_proxy_header(std::string_view bytes) noexcept;

// Reads exactly the header off a connection, before TLS: what is behind it stays in the socket. Errors: kProtocol,
// kTimeout, kClosed.
Task<Result<std::optional<Endpoint>>> read_proxy_header(Stream& stream, Deadline deadline);

}  // namespace sluice::net
