// HTTP/1.1 calls to one server over pooled keep-alive connections: what a direct upstream and the agent use.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/held_bytes.h"
#include "http/call.h"
#include "http/dialer.h"
#include "net/stream.h"
#include "net/task_group.h"

namespace sluice::http::h1 {

// A call's error where the first bytes that came were not HTTP: the server speaks something else, TLS perhaps.
inline constexpr Error kNotHttp = upstream_error(ErrorKind::kProtocol, "the model server's answer is not HTTP");

struct ClientPoolOptions : DialOptions {
  // Of a pooled connection. Shorter than any server's own limit (uvicorn's is 5 s): one that the server gives up just as
  // a call is written costs that call. Less where the server says that it keeps connections for less.
  std::chrono::milliseconds idle_time{4'000};
  std::chrono::milliseconds gap{600'000};  // between two reads or writes of a call
  std::size_t most_idle = 64;
  std::size_t head_bytes = 64u << 10;
  std::size_t read_ahead_bytes = 256u << 10;  // of a body that nobody has taken
  HeldBytes* held = nullptr;                  // counts what has been received and not consumed; null: nobody does
};

// Thread:   owning worker only.
// Lifetime: calls may outlive the pool; the loop and the task group outlive both.
class ClientPool final {
 public:
  ClientPool(net::Loop& loop, net::TaskGroup& tasks, ClientPoolOptions options);
  ~ClientPool();
  ClientPool(const ClientPool&) = delete;
  ClientPool& operator=(const ClientPool&) = delete;

  // Starts a call whose head must come before `head_deadline`. Destroying the call before its end closes its
  // connection. A call whose pooled connection the server gave up before it had the request is asked once more, on a new
  // one. Retry yes: the server could not be reached, or has not got the whole request.
  [[nodiscard]] std::unique_ptr<OutgoingCall> start(const OutgoingRequest& request, net::Signal& wake,
                                                    net::Deadline head_deadline) noexcept;

  // Whether a connection to the server is open now: one in use, or an idle one that the server has not closed. False:
  // it may have been started anew since the last call.
  [[nodiscard]] bool in_touch() noexcept;

  struct State;  // shared with the calls under way

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sluice::http::h1
