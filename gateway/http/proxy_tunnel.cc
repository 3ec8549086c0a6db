#include "http/proxy_tunnel.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"

namespace sluice::http {
namespace {

constexpr std::size_t kHeadLimitBytes = 16u << 10;
constexpr std::size_t kStatusLineBytes = 12;  // "HTTP/1.1 200"

constexpr Error refused(const char* what) noexcept { return upstream_error(ErrorKind::kProtocol, what, Retry::kYes); }

struct Refusal {
  std::string_view status;
  const char* what;
};
constexpr std::array kRefusals{
    Refusal{"403", "the proxy answered 403: it does not let the gateway reach this server"},
    Refusal{"404", "the proxy answered 404: it knows no such server"},
    Refusal{"405", "the proxy answered 405: it opens no tunnels; is it an HTTP proxy?"},
    Refusal{"407", "the proxy answered 407: it wants a user and a password, or others than it was shown"},
    Refusal{"429", "the proxy answered 429: it has had too many requests"},
    Refusal{"500", "the proxy answered 500: it failed"},
    Refusal{"502", "the proxy answered 502: it cannot reach the server"},
    Refusal{"503", "the proxy answered 503: it cannot reach the server now"},
    Refusal{"504", "the proxy answered 504: the server does not answer it"},
};

void write_request(Buffer& into, const Proxy& proxy, const std::string& host, std::uint16_t port) {
  const bool bare = host.find(':') == std::string::npos;
  const std::string server = (bare ? host : "[" + host + "]") + ":" + std::to_string(port);
  const auto put = [&](const auto&... parts) { (into.append(std::string_view(parts)), ...); };
  put("CONNECT ", server, " HTTP/1.1\r\nhost: ", server, "\r\n");
  if (!proxy.authorization.empty()) put("proxy-authorization: ", std::string_view(proxy.authorization), "\r\n");
  put("\r\n");
}

Status judge(std::string_view head) noexcept {
  if (head.size() < kStatusLineBytes || !head.starts_with("HTTP/1."))
    return refused("the proxy does not speak HTTP; is it a SOCKS or an https:// proxy?");
  const std::string_view status = head.substr(kStatusLineBytes - 3, 3);
  if (status.front() == '2') return ok();
  const auto found = std::ranges::find(kRefusals, status, &Refusal::status);
  return refused(found == kRefusals.end() ? "the proxy opened no tunnel to the server" : found->what);
}

// Byte for byte no further than the head's end: what follows is the server's, which speaks when it is spoken to.
Task<Status> read_head(net::Stream& stream, Buffer& head, net::Deadline deadline) {
  std::array<char, 1024> block;  // NOLINT: filled before it is read
  for (;;) {
    const Result<std::size_t> read = co_await stream.read_some(block, deadline);
    if (!read && read.error().kind == ErrorKind::kTimeout) co_return read.error();
    if (!read || *read == 0) co_return refused("the proxy closed the connection before it answered");
    head.append({block.data(), *read});
    const std::size_t end = head.view().find("\r\n\r\n");
    if (end != std::string_view::npos && end + 4 != head.size() && judge(head.view()))
      co_return refused("the proxy sent more than an answer");
    if (end != std::string_view::npos) co_return ok();
    if (head.size() >= 5 && !head.view().starts_with("HTTP/")) co_return ok();  // and is judged as what it is
    if (head.size() > kHeadLimitBytes) co_return refused("the proxy answered with too large a head");
  }
}

}  // namespace

Task<Status> open_tunnel(net::Stream& stream, const Proxy& proxy, const std::string& host, std::uint16_t port,
                         net::Deadline deadline) {
  Buffer request, head;
  write_request(request, proxy, host, port);
  const Status written = co_await stream.write(request.view(), deadline);
  if (!written && written.error().kind == ErrorKind::kTimeout) co_return written.error();
  if (!written) co_return refused("the proxy closed the connection");
  SLUICE_CO_TRY(co_await read_head(stream, head, deadline));
  co_return judge(head.view());
}

}  // namespace sluice::http
