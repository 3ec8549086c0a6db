// The gateway's end of a tunnel: the HTTP/2 client, whose streams are calls to an agent.
#pragma once

#include <memory>
#include <vector>

#include "http/call.h"
#include "tunnel/session.h"

namespace sluice::tunnel {

class GatewayCall;

// Thread:   owning worker only.
// Lifetime: as Session; calls may outlive it.
// Cancel:   destruction of a call sends RST_STREAM (CANCEL) in the same turn of the loop.
class GatewayTunnel final : public Session {
 public:
  GatewayTunnel(net::Loop& loop, const SessionOptions& options) noexcept;
  ~GatewayTunnel() override;

  // Never null: what could not begin is a call that has failed, with retry yes.
  [[nodiscard]] std::unique_ptr<http::OutgoingCall> start(const http::OutgoingRequest& request,
                                                          net::Signal& wake) noexcept;

  // Streams that may still be opened now; 0 while leaving.
  [[nodiscard]] std::size_t room() const noexcept;
  [[nodiscard]] std::size_t streams() const noexcept { return streams_; }
  // Stream ids run out some day: from here on the tunnel should be replaced, long before the last one.
  [[nodiscard]] bool worn() const noexcept;

 private:
  friend class GatewayCall;
  struct Callbacks;

  void deliver() noexcept override;
  void fail_streams() noexcept override;
  void touch(GatewayCall& call) noexcept;

  std::vector<GatewayCall*> touched_;
  GatewayCall* calls_ = nullptr;  // those whose stream is open, linked both ways
  std::size_t streams_ = 0;
};

}  // namespace sluice::tunnel
