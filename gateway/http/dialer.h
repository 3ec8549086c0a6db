// Opens connections to one server: finds its addresses, tries them in turn, asks the proxy before it if there is one, and
// puts TLS on top, resumed where the server lets it.
#pragma once

#include <chrono>
#include <memory>

#include "http/host_addresses.h"
#include "http/proxy_tunnel.h"
#include "http/url.h"
#include "net/kept_session.h"
#include "net/stream.h"

namespace sluice::http {

struct DialOptions {
  BaseUrl url;
  std::shared_ptr<SSL_CTX> context;  // of https; shared, because connections outlive a reload
  Proxy proxy;
  std::chrono::milliseconds connect_time{5'000};       // for all of it
  std::chrono::milliseconds resolve_interval{30'000};  // how long a name's addresses are fresh
  LookUp look_up;                                      // null: the system's resolver
};

// Thread:   owning worker only.
// Lifetime: outlives every dial() and every stream from it; the loop and the task group outlive it.
class Dialer final {
 public:
  Dialer(net::Loop& loop, net::TaskGroup& tasks, DialOptions options);

  // A connection to the server, ready for its first request. Error: kConnect, retry yes; what TLS finds is said in words,
  // everything else by the system's code. What is the proxy's fault begins with "the proxy", or has the system's code.
  Task<Result<std::unique_ptr<net::Stream>>> dial();

 private:
  Task<Status> secure(net::Stream& stream, net::Deadline deadline);

  net::Loop& loop_;
  net::TaskGroup& tasks_;
  DialOptions options_;
  net::KeptSession session_;
  std::shared_ptr<HostAddresses> addresses_;  // of the proxy, or of the server; kept by a look-up under way, too
};

}  // namespace sluice::http
