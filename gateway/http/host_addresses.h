// The addresses of one host: looked up off the loop, kept, and looked up again behind the caller's back.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/signal.h"
#include "net/stream.h"
#include "net/task_group.h"

namespace sluice::http {

// Asks for the addresses of a host; the first of the answer is the best. An error: it is not known now.
using LookUp = std::function<Task<Result<std::vector<net::Endpoint>>>(const std::string& host, std::uint16_t port)>;

// Thread:   owning worker only.
// Lifetime: made by create() alone: a look-up under way keeps it; the loop and the task group outlive it.
class HostAddresses final : public std::enable_shared_from_this<HostAddresses> {
 public:
  // `look_up`: null: the system's resolver. An answer is fresh for `interval`.
  static std::shared_ptr<HostAddresses> create(net::Loop& loop, net::TaskGroup& tasks, std::string host,
                                               std::uint16_t port, std::chrono::milliseconds interval,
                                               LookUp look_up = nullptr);

  // The last known ones at once, however old, and a new look-up is begun where they are no longer fresh. Only the first
  // caller of all has to wait. The two families take turns (RFC 8305, 4), and those that were dead stand at the end.
  // Error: kConnect, retry yes.
  Task<Result<std::vector<net::Endpoint>>> get(net::Deadline deadline);

  // Whoever asks within the next minute gets this one last.
  void note_dead(const net::Endpoint& endpoint);

 private:
  struct Dead {
    net::Endpoint endpoint;
    MonoTime until;
  };

  HostAddresses(net::Loop& loop, net::TaskGroup& tasks, std::string host, std::uint16_t port,
                std::chrono::milliseconds interval, LookUp look_up);
  static Task<void> look_up(std::shared_ptr<HostAddresses> self);
  Task<Result<std::vector<net::Endpoint>>> ask_system();
  void put_dead_last();

  net::Loop& loop_;
  net::TaskGroup& tasks_;
  std::string host_;
  std::uint16_t port_;
  std::chrono::milliseconds interval_;
  LookUp look_up_;
  asio::ip::basic_resolver<asio::ip::tcp, Executor> resolver_;
  std::vector<net::Endpoint> known_;
  std::vector<Dead> dead_;
  MonoTime fresh_until_{};
  bool looking_ = false;
  std::vector<net::Signal*> waiting_;  // each owned by a get() under way
};

}  // namespace sluice::http
