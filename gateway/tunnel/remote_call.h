// A call that one worker starts on a tunnel of another: each side keeps to its own thread and sends the other messages.
//
//   caller's worker                         carrier's worker
//   RemoteCall  --- request, copied --->    Host::carry, over a GatewayCall
//               <-- head, bytes, end ---
//               --- taken, cancelled -->
//
// Slower than a tunnel of one's own, and counted; never refused.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "http/call.h"
#include "tunnel/agent_record.h"
#include "tunnel/host.h"

namespace sluice::tunnel {

class RemoteCall;

// What the two sides share. Members belong to one of the two threads, as they say; the request is the caller's until it
// is carried, and then the carrier's.
// Lifetime: shared, because neither side knows when the other is done.
class RemoteLink final {
 public:
  RemoteLink(net::Loop& caller_loop, Agent& agent, const http::OutgoingRequest& request, HeldBytes* held);
  RemoteLink(const RemoteLink&) = delete;
  RemoteLink& operator=(const RemoteLink&) = delete;

  [[nodiscard]] net::Loop& caller_loop() noexcept { return caller_loop_; }
  [[nodiscard]] const Agent& agent() const noexcept { return agent_; }
  [[nodiscard]] const http::OutgoingRequest& request() const noexcept { return request_; }
  // The request's copy found no room: it is not to be sent.
  [[nodiscard]] bool too_much() const noexcept { return too_much_; }

  // The caller's thread.
  RemoteCall* call = nullptr;  // null: given up

  // The carrier's thread.
  void drop_body() noexcept;  // it was sent
  net::Signal* carrier_wake = nullptr;
  std::size_t taken_bytes = 0;
  bool cancelled = false;

 private:
  net::Loop& caller_loop_;
  const Agent& agent_;
  std::string method_, path_;
  std::vector<std::pair<std::string, std::string>> fields_;
  Buffer body_;
  Holding holding_;  // of body_
  bool too_much_ = false;
  std::vector<http::Header> headers_;
  std::string_view body_view_;
  http::OutgoingRequest request_;
};

// What the carrier tells the caller at once.
struct RemoteNews {
  std::unique_ptr<http::AnswerHead> head;  // with the first news that has it
  Buffer body;
  http::CallState state = http::CallState::kRunning;
  Error error;
};

// Thread: the caller's worker.
class RemoteCall final : public http::OutgoingCall {
 public:
  // `held` counts the request's copy, and what has been received and not consumed.
  RemoteCall(net::Loop& loop, Host& carrier, Agent& agent, const http::OutgoingRequest& request, net::Signal& wake,
             HeldBytes* held) noexcept;
  ~RemoteCall() override;

  [[nodiscard]] http::CallState state() const noexcept override { return state_; }
  [[nodiscard]] const http::AnswerHead* head() const noexcept override { return head_.get(); }
  [[nodiscard]] Buffer& body() noexcept override { return body_; }
  void taken(std::size_t size_bytes) noexcept override;
  [[nodiscard]] bool holds_request() const noexcept override { return false; }  // copied
  [[nodiscard]] Error error() const noexcept override { return error_; }

  void hear(RemoteNews news) noexcept;

 private:
  void cancel() noexcept;

  // Credit is sent in lots: the stream's window is many times as large.
  static constexpr std::size_t kTakenLotBytes = 16 * 1024;

  std::shared_ptr<RemoteLink> link_;
  net::Loop& carrier_loop_;
  net::Signal& wake_;
  http::CallState state_ = http::CallState::kRunning;
  std::unique_ptr<http::AnswerHead> head_;
  Buffer body_;
  Holding holding_;  // of body_
  Error error_;
  std::size_t untold_bytes_ = 0;
};

}  // namespace sluice::tunnel
