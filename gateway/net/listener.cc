#include "net/listener.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <charconv>
#include <sstream>

namespace sluice::net {
namespace {

constexpr std::chrono::milliseconds kOutOfDescriptorsPause{50};
constexpr int kBacklog = 4096;

using V6Only = asio::detail::socket_option::boolean<IPPROTO_IPV6, IPV6_V6ONLY>;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

std::string text_of(const Endpoint& endpoint) {
  std::ostringstream text;
  text << endpoint;
  return text.str();
}

absl::Status listen_error(const Endpoint& endpoint, const boost::system::error_code& ec) {
  const std::string where = text_of(endpoint);
  if (ec == asio::error::address_in_use)
    return absl::UnavailableError(
        fmt::format("{} is in use: stop what listens there or choose another address", where));
  if (ec == asio::error::access_denied)
    return absl::PermissionDeniedError(
        fmt::format("may not listen on {}: choose a port from 1024 up, or grant CAP_NET_BIND_SERVICE", where));
  if (ec == boost::system::errc::address_not_available)
    return absl::FailedPreconditionError(fmt::format(
        "cannot listen on {}: this machine has no such address; 0.0.0.0 and [::] are all that it has", where));
  return absl::FailedPreconditionError(fmt::format("cannot listen on {}: {}", where, ec.message()));
}

// Whether another process listens there: SO_REUSEPORT alone would let two gateways of one user share a port by mistake.
boost::system::error_code probe_exclusive(const Endpoint& endpoint) {
  boost::system::error_code ec;
  asio::io_context io;
  asio::ip::tcp::acceptor probe(io);
  probe.open(endpoint.protocol(), ec);
  if (!ec) probe.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec && endpoint.address().is_v6()) probe.set_option(V6Only(false), ec);
  if (!ec) probe.bind(endpoint, ec);
  return ec;
}

}  // namespace

absl::StatusOr<Endpoint> resolve_listen_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::uint16_t port = 0;
  const std::string_view digits = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size())
    return absl::InvalidArgumentError(fmt::format("'{}' is not HOST:PORT", text));
  std::string host(text.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host == "*") host = "0.0.0.0";
  boost::system::error_code ec;
  if (const auto address = asio::ip::make_address(host, ec); !ec) return Endpoint(address, port);
  asio::io_context io;
  asio::ip::tcp::resolver resolver(io);
  const auto results = resolver.resolve(host, std::to_string(port), ec);
  if (ec || results.empty())
    return absl::InvalidArgumentError(fmt::format("cannot resolve '{}': {}", host, ec.message()));
  return results.begin()->endpoint();
}

absl::Status check_free(const Endpoint& endpoint) {
  if (const auto ec = probe_exclusive(endpoint)) return listen_error(endpoint, ec);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Listener>> Listener::open(Loop& loop, const Endpoint& endpoint) {
  boost::system::error_code ec;
  Acceptor acceptor(loop.executor());
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.set_option(ReusePort(true), ec);
  if (!ec && endpoint.address().is_v6()) acceptor.set_option(V6Only(false), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(kBacklog, ec);
  if (!ec) acceptor.non_blocking(true, ec);
  if (ec) return listen_error(endpoint, ec);
  Endpoint bound = acceptor.local_endpoint(ec);
  return std::unique_ptr<Listener>(new Listener(loop, std::move(acceptor), std::move(bound)));
}

Task<void> Listener::accept_all(Accepted accepted) {
  while (acceptor_.is_open()) {
    auto [ec, socket] = co_await acceptor_.async_accept(use_task);
    if (!ec) {
      accepted(std::move(socket));
      continue;
    }
    if (ec == asio::error::operation_aborted) co_return;
    // Out of descriptors or memory: the connection stays in the kernel's queue until something is closed.
    if (ec != asio::error::connection_aborted) (void)co_await pause_.wait(Deadline::after(kOutOfDescriptorsPause));
  }
}

void Listener::accept_waiting(const Accepted& accepted) noexcept {
  boost::system::error_code ec;
  while (acceptor_.is_open()) {
    Socket socket(acceptor_.get_executor());
    acceptor_.accept(socket, ec);  // does not block: see open()
    if (ec) return;
    accepted(std::move(socket));
  }
}

void Listener::close() noexcept {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.notify();
}

}  // namespace sluice::net
