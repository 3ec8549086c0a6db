#include "http/dialer.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice::http {
namespace {

constexpr Error kNoProxy =
    upstream_error(ErrorKind::kConnect, "the proxy cannot be found: its host name cannot be resolved", Retry::kYes);
constexpr Error kNoConnection = upstream_error(ErrorKind::kConnect, "the model server cannot be reached", Retry::kYes);

// What TLS or the proxy finds is said in words, for its codes are none of the system's.
Error no_connection(const Error& why) noexcept {
  Error error = kNoConnection;
  if (why.kind == ErrorKind::kProtocol || why.kind == ErrorKind::kClosed)
    error.what = why.what;
  else
    error.os_code = why.kind == ErrorKind::kTimeout ? ETIMEDOUT : why.os_code;
  return error;
}

}  // namespace

Dialer::Dialer(net::Loop& loop, net::TaskGroup& tasks, DialOptions options)
    : loop_(loop),
      options_(std::move(options)),
      addresses_(options_.proxy.given() ? HostAddresses::create(loop, tasks, options_.proxy.host, options_.proxy.port)
                                        : HostAddresses::create(loop, tasks, options_.url.host, options_.url.port)) {}

Task<Result<std::unique_ptr<net::Stream>>> Dialer::dial() {
  const net::Deadline deadline = net::Deadline::after(options_.connect_time);
  const Result<std::vector<net::Endpoint>> candidates = co_await addresses_->get(deadline);
  if (!candidates) co_return options_.proxy.given() ? kNoProxy : candidates.error();
  Error last = kNoConnection;
  for (std::size_t i = 0; i < candidates->size(); ++i) {
    // A silent address leaves the others their share of the time.
    const auto left = std::max(deadline.at - Mono::now(), Mono::duration::zero());
    const net::Deadline share = net::Deadline::after(left / static_cast<long>(candidates->size() - i));
    Result<std::unique_ptr<net::Stream>> stream = co_await connect_to((*candidates)[i], share);
    if (stream) co_return stream;
    last = no_connection(stream.error());
  }
  co_return last;
}

Task<Result<std::unique_ptr<net::Stream>>> Dialer::connect_to(net::Endpoint endpoint, net::Deadline deadline) {
  Result<std::unique_ptr<net::Stream>> stream = co_await net::Stream::connect(loop_, endpoint, deadline);
  if (!stream) co_return stream;
  if (options_.proxy.given()) {
    const Status opened =
        co_await open_tunnel(**stream, options_.proxy, options_.url.host, options_.url.port, deadline);
    if (!opened) co_return opened.error();
  }
  if (!options_.url.tls) co_return stream;
  const Status secured = co_await (*stream)->handshake_as_client(options_.context.get(), options_.url.host, deadline);
  if (!secured) co_return secured.error();
  co_return stream;
}

}  // namespace sluice::http
