#include "http/dialer.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "http/connect_race.h"

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
      tasks_(tasks),
      options_(std::move(options)),
      addresses_(HostAddresses::create(loop, tasks, options_.proxy.given() ? options_.proxy.host : options_.url.host,
                                       options_.proxy.given() ? options_.proxy.port : options_.url.port,
                                       options_.resolve_interval, options_.look_up)) {}

Task<Result<std::unique_ptr<net::Stream>>> Dialer::dial() {
  const net::Deadline deadline = net::Deadline::after(options_.connect_time);
  Result<std::vector<net::Endpoint>> candidates = co_await addresses_->get(deadline);
  if (!candidates) co_return options_.proxy.given() ? kNoProxy : candidates.error();
  Error last = kNoConnection;
  for (std::vector<net::Endpoint> left = *std::move(candidates); !left.empty();) {
    RaceResult connected = co_await connect_race(loop_, tasks_, left, deadline);
    for (const net::Endpoint& beaten : connected.beaten) addresses_->note_dead(beaten);
    if (!connected.stream) co_return no_connection(connected.error);
    std::erase(left, connected.endpoint);
    // An address that says nothing behind the connection leaves the others their share of the time.
    const auto time = std::max(deadline.at - Mono::now(), Mono::duration::zero());
    const net::Deadline share = net::Deadline::after(time / static_cast<long>(left.size() + 1));
    const Status secured = co_await secure(*connected.stream, share);
    if (secured) co_return std::move(connected.stream);
    addresses_->note_dead(connected.endpoint);
    last = no_connection(secured.error());
  }
  co_return last;
}

Task<Status> Dialer::secure(net::Stream& stream, net::Deadline deadline) {
  if (options_.proxy.given())
    SLUICE_CO_TRY(co_await open_tunnel(stream, options_.proxy, options_.url.host, options_.url.port, deadline));
  if (!options_.url.tls) co_return ok();
  SLUICE_CO_TRY(
      co_await stream.handshake_as_client(options_.context.get(), options_.url.host, deadline, session_.get()));
  session_.listen_to(stream.ssl());
  co_return ok();
}

}  // namespace sluice::http
