// Base URLs of upstreams: "http://host:port/prefix".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

struct BaseUrl {
  bool tls = false;
  std::string host;  // an IPv6 address without its brackets
  std::uint16_t port = 80;
  std::string prefix;     // "" or "/prefix", no slash and no "/v1" at its end
  std::string authority;  // for the Host header: host, and the port where it is not the scheme's own
};

// http and https only; no user, query or fragment. "/v1" at its end means the same as none: people copy the URL that they
// give to an SDK, and every path that is called begins with it. Nothing: not such a URL.
[[nodiscard]] std::optional<BaseUrl> parse_base_url(std::string_view text);

}  // namespace sluice::http
