#include "http/host_addresses.h"

#include <algorithm>

namespace sluice::http {
namespace {

constexpr std::chrono::seconds kPauseAfterFailure{1};
constexpr std::chrono::seconds kDeadTime{60};
constexpr std::size_t kMostAddresses = 32;
constexpr Error kUnknownHost = upstream_error(ErrorKind::kConnect, "the host name cannot be resolved", Retry::kYes);

// The two families take turns, beginning with the first one's (RFC 8305, 4): where one of them leads nowhere, the second
// attempt is already one of the other.
std::vector<net::Endpoint> take_turns(const std::vector<net::Endpoint>& sorted) {
  std::vector<net::Endpoint> mixed, others;
  for (const net::Endpoint& endpoint : sorted) {
    (endpoint.protocol() == sorted.front().protocol() ? mixed : others).push_back(endpoint);
  }
  for (std::size_t i = 0; i < others.size(); ++i)
    mixed.insert(mixed.begin() + static_cast<long>(std::min(2 * i + 1, mixed.size())), others[i]);
  mixed.resize(std::min(mixed.size(), kMostAddresses));
  return mixed;
}

}  // namespace

HostAddresses::HostAddresses(net::Loop& loop, net::TaskGroup& tasks, std::string host, std::uint16_t port,
                             std::chrono::milliseconds interval, LookUp look_up)
    : loop_(loop),
      tasks_(tasks),
      host_(std::move(host)),
      port_(port),
      interval_(interval),
      look_up_(std::move(look_up)),
      resolver_(loop.executor()) {
  boost::system::error_code ec;
  const auto literal = asio::ip::make_address(host_, ec);
  if (ec) return;
  known_.assign(1, {literal, port_});
  fresh_until_ = MonoTime::max();
}

std::shared_ptr<HostAddresses> HostAddresses::create(net::Loop& loop, net::TaskGroup& tasks, std::string host,
                                                     std::uint16_t port, std::chrono::milliseconds interval,
                                                     LookUp look_up) {
  return std::shared_ptr<HostAddresses>(
      new HostAddresses(loop, tasks, std::move(host), port, interval, std::move(look_up)));
}

Task<Result<std::vector<net::Endpoint>>> HostAddresses::get(net::Deadline deadline) {
  const std::shared_ptr<HostAddresses> self = shared_from_this();
  if (!looking_ && Mono::now() >= fresh_until_) {
    looking_ = true;
    tasks_.spawn(look_up(self));
  }
  if (known_.empty() && looking_) {
    net::Signal found(loop_);
    waiting_.push_back(&found);
    co_await found.wait(deadline);
    std::erase(waiting_, &found);
  }
  if (known_.empty()) co_return kUnknownHost;
  co_return known_;
}

void HostAddresses::note_dead(const net::Endpoint& endpoint) {
  const MonoTime until = Mono::now() + kDeadTime;
  const auto found = std::ranges::find(dead_, endpoint, &Dead::endpoint);
  if (found != dead_.end()) {
    found->until = until;
  } else if (std::ranges::find(known_, endpoint) != known_.end()) {
    dead_.push_back({endpoint, until});
  }
  put_dead_last();
}

void HostAddresses::put_dead_last() {
  const MonoTime now = Mono::now();
  std::erase_if(dead_, [&](const Dead& one) {
    return now >= one.until || std::ranges::find(known_, one.endpoint) == known_.end();
  });
  std::ranges::stable_partition(known_, [this](const net::Endpoint& endpoint) {
    return std::ranges::find(dead_, endpoint, &Dead::endpoint) == dead_.end();
  });
}

Task<Result<std::vector<net::Endpoint>>> HostAddresses::ask_system() {
  const std::string port = std::to_string(port_);
  auto [error, results] = co_await resolver_.async_resolve(host_, port, use_task);
  if (error) co_return kUnknownHost;
  std::vector<net::Endpoint> found;
  for (const auto& entry : results) found.push_back(entry.endpoint());
  co_return found;
}

Task<void> HostAddresses::look_up(std::shared_ptr<HostAddresses> self) {
  Task<Result<std::vector<net::Endpoint>>> asking =
      self->look_up_ ? self->look_up_(self->host_, self->port_) : self->ask_system();
  const Result<std::vector<net::Endpoint>> found = co_await std::move(asking);
  self->looking_ = false;
  const bool good = found && !found->empty();
  // The last good ones serve while the name server does not.
  if (good) self->known_ = take_turns(*found);
  self->put_dead_last();
  self->fresh_until_ = Mono::now() + (good ? self->interval_ : kPauseAfterFailure);
  for (net::Signal* waiting : self->waiting_) waiting->notify();
}

}  // namespace sluice::http
