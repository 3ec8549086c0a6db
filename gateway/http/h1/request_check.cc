#include "http/h1/request_check.h"

#include <algorithm>
#include <boost/asio/ip/address_v6.hpp>
#include <optional>
#include <string>

#include "http/field_text.h"

namespace sluice::http::h1 {
namespace {

constexpr std::size_t kMostFields = 256;

constexpr Error bad(const char* what) noexcept { return client_error(ErrorKind::kBadRequest, what); }

bool is_port(std::string_view digits) noexcept {
  std::uint32_t port = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9' || port > 65'535) return false;
    port = port * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return digits.empty() || (port >= 1 && port <= 65'535);
}

bool is_hex(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// A registered name or an IPv4 address (RFC 3986, 3.2.2), without a comma, which a list of hosts would have.
bool is_name(std::string_view name) noexcept {
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) continue;
    if (c == '%' && name.size() - i > 2 && is_hex(name[i + 1]) && is_hex(name[i + 2])) {
      i += 2;
    } else if (std::string_view("-._~!$&'()*+;=").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return !name.empty();
}

bool is_ip_literal(std::string_view inside) noexcept {
  boost::system::error_code bad_address;
  (void)boost::asio::ip::make_address_v6(std::string(inside), bad_address);
  return !bad_address && inside.find('%') == std::string_view::npos;
}

// host[:port] of an http URI: a host, no user, a port that there is.
bool is_authority(std::string_view text) noexcept {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || !is_ip_literal(text.substr(1, end - 1))) return false;
    const std::string_view rest = text.substr(end + 1);
    return rest.empty() || (rest.starts_with(':') && is_port(rest.substr(1)));
  }
  const std::size_t colon = text.find(':');
  return is_name(text.substr(0, colon)) && (colon == std::string_view::npos || is_port(text.substr(colon + 1)));
}

// Splits a target into path and query. Origin form, absolute form (its authority is not used), "*" for OPTIONS.
Status split_target(std::string_view method, CheckedHead& head) noexcept {
  std::string_view rest = head.target;
  for (const char c : rest) {
    const auto b = static_cast<unsigned char>(c);
    if (b <= ' ' || b >= 0x7f) return bad("request target holds a byte that it may not");
  }
  if (rest == "*") {
    if (method != "OPTIONS") return bad("request target");
    head.path = rest;
    return ok();
  }
  if (rest.front() != '/') {
    const std::size_t scheme = rest.find("://");
    if (scheme == std::string_view::npos) return bad("request target");
    if (!same_ignoring_case(rest.substr(0, scheme), "http") && !same_ignoring_case(rest.substr(0, scheme), "https")) {
      return bad("request target");
    }
    rest.remove_prefix(scheme + 3);
    const std::size_t authority = std::min(rest.find_first_of("/?"), rest.size());
    if (!is_authority(rest.substr(0, authority))) return bad("request target: the host in it is not valid");
    head.has_authority = true;
    rest.remove_prefix(authority);
  }
  if (rest.find('#') != std::string_view::npos) return bad("request target holds a fragment");
  const std::size_t question = std::min(rest.find('?'), rest.size());
  head.path = question == 0 ? std::string_view("/") : rest.substr(0, question);
  head.query = question == rest.size() ? std::string_view() : rest.substr(question + 1);
  return ok();
}

Status check_request_line(std::string_view line, CheckedHead& head) noexcept {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first + 1) return bad("request line");
  const std::string_view method = line.substr(0, first);
  const std::string_view version = line.substr(last + 1);
  head.target = line.substr(first + 1, last - first - 1);
  if (!is_token(method) || method.size() > 32) return bad("request method");
  if (version == "HTTP/1.0") {
    head.http_1_0 = true;
  } else if (version != "HTTP/1.1") {
    return bad("HTTP version");
  }
  return split_target(method, head);
}

// What of the fields decides where the request ends, and whose it is.
struct Seen {
  unsigned hosts = 0;
  bool empty_host = false;
  unsigned lengths = 0;
  unsigned encodings = 0;
};

Status check_field(std::string_view line, CheckedHead& head, Seen& seen) noexcept {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bad("header field without a colon");
  const std::string_view name = line.substr(0, colon);
  if (!is_token(name)) return bad("header field name");  // a space before the colon, too; and a folded line
  const std::string_view raw = line.substr(colon + 1);
  if (!is_field_value(raw)) return bad("header field holds a control character");
  switch (name.size()) {
    case 4:
      if (same_ignoring_case(name, "host")) {
        ++seen.hosts;
        seen.empty_host = trimmed(raw).empty();
        if (!seen.empty_host && !is_authority(trimmed(raw)))
          return bad("Host is not valid: it is a host's name or address, and a port from 1 to 65535 behind a colon");
      }
      break;
    case 6:
      if (same_ignoring_case(name, "expect")) {
        if (!same_ignoring_case(trimmed(raw), "100-continue")) return bad("Expect");
        head.expects_continue = true;
      }
      break;
    case 14:
      if (same_ignoring_case(name, "content-length")) {
        const std::optional<std::uint64_t> length = parse_length(trimmed(raw));
        if (!length || ++seen.lengths > 1) return bad("Content-Length");
        head.content_length = *length;
        head.framing = Framing::kLength;
      }
      break;
    case 17:
      if (same_ignoring_case(name, "transfer-encoding")) {
        if (!same_ignoring_case(trimmed(raw), "chunked") || ++seen.encodings > 1) return bad("Transfer-Encoding");
        head.framing = Framing::kChunked;
      }
      break;
    default:
      break;
  }
  return ok();
}

}  // namespace

HeadScan::Found HeadScan::scan(std::string_view bytes) noexcept {
  // TLS on a plain port would never send a line end.
  if (!bytes.empty() && !is_token(bytes.substr(0, 1))) return Found::kBad;
  for (;;) {
    const std::size_t end = bytes.find('\n', line_);
    if (end == std::string_view::npos) return Found::kMore;
    if (end == line_ || bytes[end - 1] != '\r') return Found::kBad;
    const bool empty = end == line_ + 1;
    line_ = end + 1;
    if (empty) return Found::kWhole;
  }
}

Result<CheckedHead> check_head(std::string_view head) noexcept {
  CheckedHead checked;
  Seen seen;
  while (!head.empty()) {
    const std::size_t end = head.find('\n');
    if (end == std::string_view::npos || end == 0 || head[end - 1] != '\r') return bad("line end");
    const std::string_view line = head.substr(0, end - 1);
    head.remove_prefix(end + 1);
    if (line.find('\r') != std::string_view::npos) return bad("carriage return inside a line");
    if (line.empty()) break;
    if (checked.lines++ == 0) {
      SLUICE_TRY(check_request_line(line, checked));
    } else {
      SLUICE_TRY(check_field(line, checked, seen));
    }
    if (checked.lines > kMostFields) return client_error(ErrorKind::kHeadTooLarge, "too many header fields");
  }
  if (checked.lines == 0) return bad("empty request");
  if (!head.empty()) return bad("bytes behind the head");
  if (seen.hosts > 1 || (seen.hosts == 0 && !checked.http_1_0)) return bad("exactly one Host is needed");
  // An http URI has a host (RFC 9110, 4.2.1), in its target where not here.
  if (seen.empty_host && !checked.http_1_0 && !checked.has_authority) return bad("Host is empty");
  if (seen.lengths != 0 && seen.encodings != 0) return bad("Content-Length beside Transfer-Encoding");
  if (seen.encodings != 0 && checked.http_1_0) return bad("Transfer-Encoding in HTTP/1.0");
  if (checked.http_1_0) checked.expects_continue = false;  // RFC 9110, 10.1.1
  return checked;
}

}  // namespace sluice::http::h1
