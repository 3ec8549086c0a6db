#include "config/proxy.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <cstdlib>

#include "base/text.h"
#include "config/text.h"

namespace sluice::config {
namespace {

namespace ip = boost::asio::ip;

constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

struct HostAndPort {
  std::string host;
  std::uint16_t port = 0;  // 0: none is given
};

// "HOST", "HOST:PORT", "[IPV6]:PORT"; an IPv6 address without brackets has no port.
std::optional<HostAndPort> split(std::string_view text) {
  HostAndPort parts;
  std::string_view port;
  if (remove_prefix(text, "[")) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    parts.host = text.substr(0, end);
    port = text.substr(end + 1);
  } else if (const std::size_t colon = text.find(':'); colon != std::string_view::npos && colon == text.rfind(':')) {
    parts.host = text.substr(0, colon);
    port = text.substr(colon);
  } else {
    parts.host = text;
  }
  if (parts.host.empty()) return std::nullopt;
  if (port.empty()) return parts;
  if (!remove_prefix(port, ":") || !parse_whole(port, parts.port) || parts.port == 0) return std::nullopt;
  return parts;
}

bool is_in_network(const std::string& network, const ip::address& address) {
  boost::system::error_code ec;
  if (address.is_v4()) {
    const auto v4 = ip::make_network_v4(network, ec);
    return !ec && v4.canonical() == ip::make_network_v4(address.to_v4(), v4.prefix_length()).canonical();
  }
  const auto v6 = ip::make_network_v6(network, ec);
  return !ec && v6.canonical() == ip::make_network_v6(address.to_v6(), v6.prefix_length()).canonical();
}

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), lower_case);
  return lower;
}

// One entry of the list against one server, which may be an address.
bool names(std::string_view entry, const std::string& host, std::uint16_t port,
           const std::optional<ip::address>& address) {
  if (entry == "*") return true;
  if (address && entry.find('/') != std::string_view::npos) return is_in_network(std::string(entry), *address);
  const std::optional<HostAndPort> parts = split(entry);
  if (!parts || (parts->port != 0 && parts->port != port)) return false;
  boost::system::error_code ec;
  if (address) {
    const ip::address named = ip::make_address(parts->host, ec);
    return !ec && named == *address;
  }
  std::string_view name = parts->host;
  (void)remove_prefix(name, "*");
  (void)remove_prefix(name, ".");
  const std::string wanted = in_lower_case(name);
  return !wanted.empty() && (host == wanted || host.ends_with("." + wanted));
}

const char* variable(const char* name) noexcept {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::optional<ProxyServer> parse_proxy(std::string_view url) {
  if (!remove_prefix(url, "http://")) return std::nullopt;
  (void)remove_suffix(url, "/");
  ProxyServer proxy;
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos) {
    const std::string_view login = url.substr(0, at);
    proxy.login.resize(login.size());
    const auto decoded = percent_decode(login, proxy.login);
    if (!decoded || login.find(':') == std::string_view::npos) return std::nullopt;
    proxy.login.resize(decoded->size());
    url.remove_prefix(at + 1);
  }
  const auto parts = split(url);
  const bool plain = url.find_first_of("/?#@ \\") == std::string_view::npos;
  if (!parts || !plain || std::ranges::any_of(parts->host, [](char c) { return c <= ' ' || c > '~'; }))
    return std::nullopt;
  proxy.host = parts->host;
  proxy.port = parts->port == 0 ? kHttpPort : parts->port;
  return proxy;
}

bool is_exempt(std::string_view list, const std::string& host, std::uint16_t port) {
  const std::string lower = in_lower_case(host);
  boost::system::error_code ec;
  std::optional<ip::address> address = ip::make_address(host, ec);
  if (ec) address.reset();
  if (address ? address->is_loopback() : lower == "localhost" || lower.ends_with(".localhost")) return true;
  constexpr std::string_view kBetween = ", \t";
  while (!list.empty()) {
    const std::size_t end = std::min(list.find_first_of(kBetween), list.size());
    if (end != 0 && names(list.substr(0, end), lower, port, address)) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

ProxyEnvironment read_proxy_environment() noexcept {
  ProxyEnvironment found;
  for (const char* name : {"https_proxy", "HTTPS_PROXY"}) {
    if (*found.proxy == '\0') found = {.name = name, .proxy = variable(name)};
  }
  found.exempt = variable("no_proxy");
  if (*found.exempt == '\0') found.exempt = variable("NO_PROXY");
  return found;
}

absl::StatusOr<ProxyServer> find_proxy(const ProxyEnvironment& environment, std::string_view url) {
  if (*environment.proxy == '\0' || !remove_prefix(url, "https://")) return ProxyServer();
  const auto server = split(url.substr(0, url.find('/')));
  if (!server) return ProxyServer();  // the URL is refused elsewhere
  if (is_exempt(environment.exempt, server->host, server->port == 0 ? kHttpsPort : server->port)) return ProxyServer();
  std::optional<ProxyServer> proxy = parse_proxy(environment.proxy);
  if (!proxy)
    return absl::InvalidArgumentError(cat(environment.name, " of the environment is not http://HOST:PORT or ",
                                          "http://USER:PASSWORD@HOST:PORT; mend it, or say proxy = \"none\" here"));
  proxy->named_by = environment.name;
  return *std::move(proxy);
}

}  // namespace sluice::config
