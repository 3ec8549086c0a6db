#include "server/front.h"

#include <algorithm>

#include "net/proxy_protocol.h"
#include "net/tls_context.h"

namespace sluice::server {
namespace {

constexpr std::string_view kOwnPaths = "/.sluice/";
constexpr std::chrono::milliseconds kLingerTime{1'000};
constexpr Error kPlainHttp = client_error(ErrorKind::kBadRequest,
                                          "This port speaks HTTPS and the request came as plain HTTP; use an https:// "
                                          "URL.");

}  // namespace

void Front::accept(net::Socket socket, std::shared_ptr<const FrontSettings> settings) {
  tasks_.spawn(serve(std::move(socket), std::move(settings)));
}

Task<void> Front::serve(net::Socket socket, std::shared_ptr<const FrontSettings> settings) {
  struct Counted {
    Counted(ConnectionCount& count_, proxy::WorkerMetrics& metrics_) noexcept
        : count(count_), metrics(metrics_), number(++count.open) {
      metrics.connections(1);
    }
    ~Counted() {
      --count.open;
      metrics.connections(-1);
    }
    ConnectionCount& count;
    proxy::WorkerMetrics& metrics;
    std::int64_t number;
  } const counted(count_, worker_.metrics);
  if (draining_) co_return;
  if (counted.number > count_.cap.load(std::memory_order_relaxed)) {
    worker_.log.debug("connection not taken", {{"why", "[http] max_connections are open"}});
    co_return;
  }
  auto stream = std::make_unique<net::Stream>(worker_.loop, std::move(socket));
  net::Address peer = stream->peer().address();
  const auto position = securing_.insert(securing_.end(), stream.get());
  const Status secured = co_await secure(*stream, *settings, peer);
  securing_.erase(position);
  if (!secured) {
    if (secured.error().kind == ErrorKind::kOverloaded) worker_.metrics.handshake_refused();
    worker_.log.debug(
        "connection not taken",
        {{"client", net::truncated(peer)}, {"why", secured.error().what}, {"os_code", secured.error().os_code}});
  }
  if (!secured && secured.error().kind == ErrorKind::kBadRequest && !draining_)
    co_return co_await answer_in_plain(std::move(stream), *settings);
  if (!secured || draining_) co_return stream->close();
  const Protocol* const protocol = protocol_of(*stream, *settings);
  if (protocol == nullptr) {
    if (stream->alpn() == net::kTunnelAlpn && worker_.doubts != nullptr)
      worker_.doubts->tell_turned_away(settings->listener);
    co_return stream->close();
  }
  co_await (this->*protocol->serve)(std::move(stream), *settings, peer);
}

constexpr std::array<Front::Protocol, 2> Front::kProtocols{{
    {net::kHttp11Alpn, &Front::serve_requests},
    {net::kTunnelAlpn, &Front::serve_tunnel},
}};

// Where nothing was chosen, for want of TLS or because the client named nothing, it is the first row.
const Front::Protocol* Front::protocol_of(const net::Stream& stream, const FrontSettings& settings) noexcept {
  const std::string_view chosen = stream.alpn().empty() ? kProtocols.front().alpn : std::string_view(stream.alpn());
  if (std::ranges::find(settings.protocols, chosen) == settings.protocols.end()) return nullptr;
  const auto found = std::ranges::find(kProtocols, chosen, &Protocol::alpn);
  return found == kProtocols.end() ? nullptr : &*found;
}

Task<void> Front::serve_tunnel(std::unique_ptr<net::Stream> stream, const FrontSettings&, net::Address) {
  if (!tunnels_) co_return stream->close();
  tunnels_(std::move(stream));
}

// PROXY header, then TLS, as the listener asks for them. `peer` becomes the client's own address.
Task<Status> Front::secure(net::Stream& stream, const FrontSettings& settings, net::Address& peer) {
  const net::Deadline deadline = net::Deadline::after(settings.handshake_time);
  if (!settings.proxy_protocol.empty() && settings.proxy_protocol.contain(peer)) {
    const Result<std::optional<net::Endpoint>> source = co_await net::read_proxy_header(stream, deadline);
    if (!source) co_return source.error();
    if (*source) peer = (*source)->address();
  }
  if (!settings.tls) co_return ok();
  handshakes_.set_bounds(settings.handshakes);
  co_return co_await stream.handshake_as_server(settings.context.get(), deadline, &handshakes_);
}

Task<void> Front::serve_requests(std::unique_ptr<net::Stream> stream, const FrontSettings& settings,
                                 net::Address peer) {
  http::ConnectionLimits limits = settings.limits;
  limits.held = &worker_.held;
  http::h1::ServerConnection client(std::move(stream), limits);
  Connection connection{.http = &client};
  const auto position = connections_.insert(connections_.end(), &connection);
  std::string address = net::truncated(peer), whole_address = peer.to_string();
  worker_.log.debug("connection opened", {{"client", address}, {"worker", worker_.loop.index()}});
  const bool forwarded = settings.trust_forwarded_for.contain(peer);
  for (;;) {
    const Result<const http::RequestHead*> head = co_await client.read_head();
    if (!head) {
      co_await answer_bad_head(client, head.error());
      break;
    }
    if (forwarded) {
      const auto origin = net::forwarded_for((*head)->fields["x-forwarded-for"], settings.trust_forwarded_for);
      address = net::truncated(origin.value_or(peer));
      whole_address = origin.value_or(peer).to_string();
    }
    connection.busy = true;
    const proxy::Arrival arrival{
        .address = address, .peer = {.address = whole_address, .listener = settings.listener}, .cors = settings.cors};
    co_await serve_request(client, arrival);
    connection.busy = false;
    if (draining_ || !client.keeps_alive()) break;
  }
  connections_.erase(position);
  worker_.log.debug("connection closed", {{"client", address}, {"worker", worker_.loop.index()}});
  client.stream().close();
}

// Of its own, so that an idle connection does not hold an exchange's memory.
Task<void> Front::serve_request(http::Incoming& client, const proxy::Arrival& arrival) {
  if (client.head().path.starts_with(kOwnPaths) && worker_.own_paths) {
    (void)co_await worker_.own_paths(client, arrival.peer);
    co_return;
  }
  proxy::Exchange exchange(worker_, client, arrival);
  co_await exchange.run();
}

// A client that speaks HTTP where TLS is spoken: told so, in HTTP.
Task<void> Front::answer_in_plain(std::unique_ptr<net::Stream> stream, const FrontSettings& settings) {
  http::h1::ServerConnection client(std::move(stream), settings.limits);
  Connection connection{.http = &client, .busy = true};
  const auto position = connections_.insert(connections_.end(), &connection);
  client.close_after_answer();
  (void)co_await proxy::answer_error(client, worker_.dialects.first(), kPlainHttp);
  // Its rest is read for a moment: closing on unread bytes would send a reset, which may overtake the answer.
  client.stream().end_writing();
  const net::Deadline deadline = net::Deadline::after(kLingerTime);
  std::array<char, 1024> rest;
  while (!deadline.passed()) {
    const Result<std::size_t> read = co_await client.stream().read_some(rest, deadline);
    if (!read || *read == 0) break;
  }
  connections_.erase(position);
  client.stream().close();
}

Task<void> Front::answer_bad_head(http::Incoming& client, Error error) {
  if (error.kind == ErrorKind::kClosed) co_return;
  client.close_after_answer();
  (void)co_await proxy::answer_error(client, worker_.dialects.first(), error);
}

void Front::drain() noexcept {
  draining_ = true;
  for (Connection* connection : connections_) {
    connection->http->close_after_answer();
    if (!connection->busy) connection->http->stream().close();
  }
}

void Front::cut() noexcept {
  for (net::Stream* stream : securing_) stream->close();
  for (Connection* connection : connections_) connection->http->stream().close();
}

}  // namespace sluice::server
