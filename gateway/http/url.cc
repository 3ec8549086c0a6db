#include "http/url.h"

#include <charconv>

namespace sluice::http {

std::optional<BaseUrl> parse_base_url(std::string_view text) {
  BaseUrl url;
  if (text.starts_with("https://")) {
    url.tls = true;
    url.port = 443;
    text.remove_prefix(8);
  } else if (text.starts_with("http://")) {
    text.remove_prefix(7);
  } else {
    return std::nullopt;
  }
  if (text.find_first_of("?#@ \\") != std::string_view::npos) return std::nullopt;
  const std::size_t slash = text.find('/');
  std::string_view authority = text.substr(0, slash);
  if (slash != std::string_view::npos) url.prefix = text.substr(slash);
  const auto cut_slashes = [&url] {
    while (url.prefix.ends_with('/')) url.prefix.pop_back();
  };
  cut_slashes();
  if (url.prefix.ends_with("/v1")) url.prefix.resize(url.prefix.size() - 3);
  cut_slashes();
  url.authority = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return std::nullopt;
    url.host = authority.substr(1, bracket - 1);
    port = authority.substr(bracket + 1);
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view{} : authority.substr(colon);
  }
  if (url.host.empty()) return std::nullopt;
  if (port.empty()) return url;
  const char* end = port.data() + port.size();
  const auto parsed = std::from_chars(port.data() + 1, end, url.port);
  if (port[0] != ':' || parsed.ec != std::errc() || parsed.ptr != end || url.port == 0) return std::nullopt;
  return url;
}

}  // namespace sluice::http
