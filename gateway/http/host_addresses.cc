#include "http/host_addresses.h"

#include <algorithm>

namespace sluice::http {
namespace {

constexpr std::chrono::seconds kFresh{30};
constexpr std::chrono::seconds kPauseAfterFailure{1};

}  // namespace

HostAddresses::HostAddresses(net::Loop& loop, net::TaskGroup& tasks, std::string host, std::uint16_t port)
    : loop_(loop), tasks_(tasks), host_(std::move(host)), port_(port), resolver_(loop.executor()) {
  boost::system::error_code ec;
  const auto literal = asio::ip::make_address(host_, ec);
  if (ec) return;
  known_.assign(1, {literal, port_});
  fresh_until_ = MonoTime::max();
}

std::shared_ptr<HostAddresses> HostAddresses::create(net::Loop& loop, net::TaskGroup& tasks, std::string host,
                                                     std::uint16_t port) {
  return std::shared_ptr<HostAddresses>(new HostAddresses(loop, tasks, std::move(host), port));
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
  if (known_.empty()) co_return upstream_error(ErrorKind::kConnect, "the host name cannot be resolved", Retry::kYes);
  co_return known_;
}

Task<void> HostAddresses::look_up(std::shared_ptr<HostAddresses> self) {
  const std::string port = std::to_string(self->port_);
  auto [error, results] = co_await self->resolver_.async_resolve(self->host_, port, use_task);
  self->looking_ = false;
  if (!error) {
    self->known_.clear();
    for (const auto& entry : results) self->known_.push_back(entry.endpoint());
  }
  // The last good ones serve while the name server does not.
  self->fresh_until_ = Mono::now() + (error ? kPauseAfterFailure : kFresh);
  for (net::Signal* waiting : self->waiting_) waiting->notify();
}

}  // namespace sluice::http
