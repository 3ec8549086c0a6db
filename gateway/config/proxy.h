// Through which HTTP proxy an upstream is called: that of the conf, or else the one that the environment names for all
// programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "config/settings.h"

namespace sluice::config {

inline constexpr std::string_view kNoProxy = "none";

// "http://[USER:PASSWORD@]HOST[:PORT]", in USER and PASSWORD %XX for what has a meaning in URLs. Nothing: not of that
// form.
[[nodiscard]] std::optional<ProxyServer> parse_proxy(std::string_view url);

// Whether `list` (NO_PROXY) names the server: names, which stand for themselves and all below them, addresses and
// networks, each with a port if it is for that alone; "*": everything. Separated by commas or spaces. What is loopback,
// by name or address, is always exempt.
[[nodiscard]] bool is_exempt(std::string_view list, const std::string& host, std::uint16_t port);

// What the environment says of https servers, static text: https_proxy, or else HTTPS_PROXY, and no_proxy, or else
// NO_PROXY.
struct ProxyEnvironment {
  const char* name = "";    // of the variable that names a proxy
  const char* proxy = "";   // empty: there is none
  const char* exempt = "";  // is_exempt's list
};
[[nodiscard]] ProxyEnvironment read_proxy_environment() noexcept;

// The proxy by which it has the server at `url` called; without a host: none. kInvalidArgument: it names one in a form
// that is not known here.
[[nodiscard]] absl::StatusOr<ProxyServer> find_proxy(const ProxyEnvironment& environment, std::string_view url);

}  // namespace sluice::config
