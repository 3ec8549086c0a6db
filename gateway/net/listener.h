// One listening socket of one worker. Workers share an address by SO_REUSEPORT: the kernel spreads connections over
// them.
#pragma once

#include <absl/status/statusor.h>

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/loop.h"
#include "net/stream.h"

namespace sluice::net {

// Reads "HOST:PORT" or "[v6]:PORT"; a name is resolved, now and blocking: for start-up only.
[[nodiscard]] absl::StatusOr<Endpoint> resolve_listen_address(std::string_view text);

// Before the first open(): whether nobody else listens there. SO_REUSEPORT alone would let two gateways share a port
// unseen. kUnavailable: somebody does; other errors: nobody could, here. Any thread.
[[nodiscard]] absl::Status check_free(const Endpoint& endpoint);

// Thread:   owning worker only; open() also before its loop runs.
// Lifetime: the loop outlives it; accept_all() has returned before destruction.
// Cancel:   close() ends accept_all().
class Listener final {
 public:
  // Binds and listens. Port 0: the system picks one, see endpoint(). Errors say what to do (port in use, no
  // permission).
  static absl::StatusOr<std::unique_ptr<Listener>> open(Loop& loop, const Endpoint& endpoint);

  // Hands each accepted connection to `accepted`, until close(). Out of descriptors: pauses instead of spinning.
  using Accepted = std::function<void(Socket)>;
  Task<void> accept_all(Accepted accepted);
  // The same, now, for those that the kernel has taken already: close() alone would reset them.
  void accept_waiting(const Accepted& accepted) noexcept;
  void close() noexcept;

  [[nodiscard]] const Endpoint& endpoint() const noexcept { return endpoint_; }

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;
  Listener(Loop& loop, Acceptor acceptor, Endpoint endpoint)
      : acceptor_(std::move(acceptor)), endpoint_(std::move(endpoint)), pause_(loop) {}

  Acceptor acceptor_;
  Endpoint endpoint_;
  Signal pause_;
};

}  // namespace sluice::net
