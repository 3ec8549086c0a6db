// The addresses of one host: looked up off the loop, kept, and looked up again behind the caller's back.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>
#include <vector>

#include "net/signal.h"
#include "net/stream.h"
#include "net/task_group.h"

namespace sluice::http {

// Thread:   owning worker only.
// Lifetime: made by create() alone: a look-up under way keeps it; the loop and the task group outlive it.
class HostAddresses final : public std::enable_shared_from_this<HostAddresses> {
 public:
  static std::shared_ptr<HostAddresses> create(net::Loop& loop, net::TaskGroup& tasks, std::string host,
                                               std::uint16_t port);

  // The last known ones at once, however old, and a new look-up is begun where they are older than half a minute. Only
  // the first caller of all has to wait. Error: kConnect, retry yes.
  Task<Result<std::vector<net::Endpoint>>> get(net::Deadline deadline);

 private:
  HostAddresses(net::Loop& loop, net::TaskGroup& tasks, std::string host, std::uint16_t port);
  static Task<void> look_up(std::shared_ptr<HostAddresses> self);

  net::Loop& loop_;
  net::TaskGroup& tasks_;
  std::string host_;
  std::uint16_t port_;
  asio::ip::basic_resolver<asio::ip::tcp, Executor> resolver_;
  std::vector<net::Endpoint> known_;
  MonoTime fresh_until_{};
  bool looking_ = false;
  std::vector<net::Signal*> waiting_;  // each owned by a get() under way
};

}  // namespace sluice::http
