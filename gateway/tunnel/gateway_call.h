// One stream of a tunnel as the gateway sees it.
#pragma once

#include "http/call.h"
#include "tunnel/gateway_tunnel.h"

namespace sluice::tunnel {

// Thread:   owning worker only.
// Lifetime: may outlive the tunnel, which detaches it; the request and the signal outlive the call.
class GatewayCall final : public http::OutgoingCall {
 public:
  // `held` counts what has been received and not consumed.
  GatewayCall(const http::OutgoingRequest& request, net::Signal& wake, HeldBytes* held) noexcept;
  ~GatewayCall() override;

  [[nodiscard]] http::CallState state() const noexcept override { return state_; }
  [[nodiscard]] const http::AnswerHead* head() const noexcept override { return head_complete_ ? &head_ : nullptr; }
  [[nodiscard]] Buffer& body() noexcept override { return body_; }
  void taken(std::size_t size_bytes) noexcept override;
  [[nodiscard]] bool holds_request() const noexcept override { return body_left_ != 0; }  // nghttp2 copies the head
  [[nodiscard]] Error error() const noexcept override { return error_; }

 private:
  friend class GatewayTunnel;
  friend struct GatewayTunnel::Callbacks;

  void add_header(std::string_view name, std::string_view value) noexcept;
  void end_head() noexcept;
  void fail(Error error) noexcept;
  // Takes bytes of the body; a call that may hold no more is given up.
  void take(std::string_view bytes) noexcept;
  void give_up(std::uint32_t code) noexcept;
  void closed(std::uint32_t code) noexcept;
  // Copies the next `size_bytes` of the request's body.
  void copy_body(Buffer& into, std::size_t size_bytes) noexcept;

  GatewayTunnel* tunnel_ = nullptr;  // null: the stream is over
  GatewayCall* next_ = nullptr;
  GatewayCall* previous_ = nullptr;
  std::int32_t stream_id_ = 0;
  http::CallState state_ = http::CallState::kRunning;
  bool touched_ = false;
  bool sent_ = false;  // HEADERS are in the output
  bool head_complete_ = false;
  http::AnswerHead head_;
  Buffer body_;
  Holding holding_;  // of body_
  Error error_;
  net::Signal& wake_;
  std::span<const std::string_view> parts_;  // what is left of the request's body
  std::size_t part_offset_ = 0;              // into parts_.front()
  std::size_t body_left_ = 0;
};

}  // namespace sluice::tunnel
