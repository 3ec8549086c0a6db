#include "agent/gateway_link.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cstdio>
#include <cstring>

#include "base/ids.h"
#include "net/tls_context.h"

namespace sluice::agent {
namespace {

constexpr std::chrono::milliseconds kFirstBound{100};
constexpr std::chrono::milliseconds kLateBound{30'000};
constexpr std::chrono::hours kLongestCap{1};  // whatever a gateway says
constexpr std::chrono::minutes kEarly{1};
constexpr std::chrono::seconds kConnectTime{10};
constexpr std::chrono::seconds kHelloTime{15};

}  // namespace

std::chrono::milliseconds Backoff::next(MonoTime now, std::uint64_t random, std::chrono::milliseconds cap) noexcept {
  if (attempts_ == 0) began_ = now;
  const std::chrono::milliseconds most = now - began_ < kEarly ? cap : std::max(kLateBound, cap);
  const std::chrono::milliseconds bound = std::min(most, kFirstBound * (1U << std::min(attempts_, 16U)));
  ++attempts_;
  return std::chrono::milliseconds(random % static_cast<std::uint64_t>(bound.count() + 1));
}

GatewayLink::GatewayLink(UplinkContext& context, http::BaseUrl url, std::uint32_t most_tunnels)
    : context_(context), url_(std::move(url)), most_tunnels_(std::max(most_tunnels, 1U)) {}

void GatewayLink::start() {
  wanted_ = 1;  // the gateway's hello says how many there should be
  context_.tasks.spawn(keep_place());
}

void GatewayLink::stop() noexcept {
  stopped_ = true;
  for (const UplinkPtr& uplink : uplinks_) uplink->leave();
  for (const auto& place : places_) place->notify();
}

void GatewayLink::cut() noexcept {
  for (const UplinkPtr& uplink : uplinks_) uplink->close();
}

// `place`: of the tunnel that was greeted. It stays, where there are too many now.
void GatewayLink::fill_places(const tunnel::Hello& hello, const net::Signal& place) {
  const std::size_t now = std::max(std::min({hello.workers, hello.tunnels_per_agent, most_tunnels_}), 1U);
  for (std::size_t there = std::max(wanted_, places_.size()); there < now; ++there) context_.tasks.spawn(keep_place());
  wanted_ = now;
  for (const auto& other : places_) {
    if (surplus() && other.get() != &place) other->notify();
  }
  reconnect_cap_ = std::clamp<std::chrono::milliseconds>(std::chrono::milliseconds(hello.reconnect_cap_ms), kFirstBound,
                                                         kLongestCap);
  if (!trouble_.empty() || !greeted_) {
    std::printf("connected to %s\n", url_.authority.c_str());
    std::fflush(stdout);
  }
  trouble_.clear();
  greeted_ = true;
  may_serve_ = hello.may_serve;
  if (may_serve_) std::ranges::sort(*may_serve_);
  compare_models();
  if (watcher_ != nullptr) watcher_->notify();
}

bool GatewayLink::calls(const tunnel::ModelHealth& model) const noexcept {
  return !may_serve_ || std::ranges::binary_search(*may_serve_, model.name);
}

// Asked afresh: the models may have changed since compare_models().
bool GatewayLink::useful() const noexcept {
  const std::vector<tunnel::ModelHealth>& offered = context_.reporter.models();
  return greeted_ && (offered.empty() || std::ranges::any_of(offered, [this](const auto& one) { return calls(one); }));
}

// What the server offers against what this agent was paired for; each change is said once.
void GatewayLink::compare_models() {
  const std::vector<tunnel::ModelHealth>& offered = context_.reporter.models();
  std::vector<std::string> not_called;
  for (const tunnel::ModelHealth& model : offered) {
    if (!calls(model)) not_called.push_back(model.name);
  }
  const bool now_useful = useful();
  if (std::exchange(was_useful_, now_useful) != now_useful && watcher_ != nullptr) watcher_->notify();
  if (not_called == not_called_) return;
  not_called_ = std::move(not_called);
  if (not_called_.empty()) return;
  std::fprintf(stderr,
               "sluice agent: %s does not call %s: this agent was paired for %s; pair it anew with a key of `sluice "
               "pair create` that names them (--model) or all (--any-model)\n",
               url_.authority.c_str(), tunnel::list_names(not_called_).c_str(),
               may_serve_->empty() ? "no model" : tunnel::list_names(*may_serve_).c_str());
}

// Keeps one tunnel up, as long as the gateway wants so many. A tunnel that is to be drained is replaced first and leaves
// once the gateway sends calls on the replacement: between its hello and that, there would be none to call on.
Task<void> GatewayLink::keep_place() {
  const auto changed = std::make_shared<net::Signal>(context_.loop);
  const auto position = places_.insert(places_.end(), changed);
  Backoff backoff;
  UplinkPtr old;
  while (!stopped_ && !surplus()) {
    std::unique_ptr<net::Stream> stream = co_await dial();
    if (stopped_) break;
    if (stream) {
      const UplinkPtr uplink = std::make_shared<Uplink>(context_, changed);
      context_.tasks.spawn(run_uplink(uplink, std::move(stream)));
      co_await greet(uplink, *changed);
      if (uplink->taken_up()) {
        backoff.reset();
        if (old) old->leave();
        old = co_await hold(uplink, *changed);
      }
    }
    if (!stopped_ && !surplus()) co_await pause(*changed, backoff);
  }
  if (old) old->leave();
  places_.erase(position);
}

// Until the tunnel has ended or is one too many: null. Or until it is to be replaced, and is still there.
Task<GatewayLink::UplinkPtr> GatewayLink::hold(UplinkPtr uplink, net::Signal& changed) {
  bool too_many = surplus();
  fill_places(*uplink->hello(), changed);
  too_many = too_many && surplus();
  while (!too_many && !uplink->ended() && !uplink->wants_replacement() && !stopped_) {
    (void)co_await changed.wait();
    compare_models();
    too_many = surplus();
  }
  if (too_many) uplink->leave();
  co_return too_many || uplink->ended() ? nullptr : uplink;
}

// Waits until the gateway has said hello and taken the tunnel up; one that it does not is closed.
Task<void> GatewayLink::greet(UplinkPtr uplink, net::Signal& changed) {
  const net::Deadline deadline = net::Deadline::after(kHelloTime);
  while (!uplink->taken_up() && !uplink->ended() && !deadline.passed()) (void)co_await changed.wait(deadline);
  if (uplink->taken_up()) co_return;
  complain(
      "the gateway ends the tunnel before its hello: it has revoked or suspended this agent, or its listener at this "
      "address takes no agents (tunnels = false); the gateway's log says which");
  uplink->close();
}

Task<void> GatewayLink::pause(net::Signal& changed, Backoff& backoff) {
  const net::Deadline deadline = net::Deadline::after(backoff.next(Mono::now(), random_id(), reconnect_cap_));
  while (!stopped_) {
    const net::Wake woken = co_await changed.wait(deadline);
    if (woken == net::Wake::kDeadline) break;
  }
}

Task<void> GatewayLink::run_uplink(UplinkPtr uplink, std::unique_ptr<net::Stream> stream) {
  const auto position = uplinks_.insert(uplinks_.end(), uplink);
  if (stopped_) uplink->leave();
  co_await uplink->run(std::move(stream));
  uplinks_.erase(position);
  if (uplinks_.empty() && watcher_ != nullptr) watcher_->notify();
}

// Says each trouble once, until it is over.
void GatewayLink::complain(std::string_view what) {
  if (trouble_ == what) return;
  trouble_ = what;
  std::fprintf(stderr, "sluice agent: no tunnel to %s: %s\n", url_.authority.c_str(), trouble_.c_str());
}

Task<std::unique_ptr<net::Stream>> GatewayLink::dial() {
  Result<std::unique_ptr<net::Stream>> stream = co_await connect();
  if (stream) co_return std::move(*stream);
  const Error& error = stream.error();
  const bool of_system = error.kind == ErrorKind::kConnect && error.os_code != 0;
  complain(of_system ? std::strerror(error.os_code) : error.what);
  co_return nullptr;
}

Task<Result<std::unique_ptr<net::Stream>>> GatewayLink::connect() {
  const net::Deadline deadline = net::Deadline::after(kConnectTime);
  asio::ip::basic_resolver<asio::ip::tcp, Executor> resolver(context_.loop.executor());
  const std::string port = std::to_string(url_.port);
  const auto [unresolved, endpoints] = co_await resolver.async_resolve(url_.host, port, use_task);
  if (unresolved) co_return upstream_error(ErrorKind::kConnect, "its name cannot be resolved", Retry::kYes);
  Error last = upstream_error(ErrorKind::kConnect, "it has no address", Retry::kYes);
  for (const auto& entry : endpoints) {
    Result<std::unique_ptr<net::Stream>> stream =
        co_await net::Stream::connect(context_.loop, entry.endpoint(), deadline);
    if (!stream) {
      last = stream.error();
      continue;
    }
    const ContextPtr tls = context_.credentials.context();
    const Status status = co_await (*stream)->handshake_as_client(tls.get(), url_.host, deadline);
    if (!status) co_return status.error();
    if ((*stream)->alpn() != net::kTunnelAlpn) {
      co_return upstream_error(ErrorKind::kProtocol, "it does not speak sluice-tunnel/1", Retry::kYes);
    }
    co_return std::move(*stream);
  }
  co_return last;
}

}  // namespace sluice::agent
