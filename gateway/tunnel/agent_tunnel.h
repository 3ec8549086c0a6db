// The agent's end of a tunnel: the HTTP/2 server, which hands whole requests to a handler.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/incoming.h"
#include "tunnel/session.h"

namespace sluice::tunnel {

class AgentTunnel;

// What RST_STREAM tells the gateway about a call that the agent gives up.
enum class Reset : std::uint8_t {
  kRefused,       // nothing has been done: try another agent
  kOverloaded,    // the same, and this agent has no room now
  kBackendLost,   // the model server failed while it answered
  kNotForwarded,  // not a path that is ever forwarded
};

class IncomingCall;
struct LetGo {
  void operator()(IncomingCall* call) const noexcept;
};
// One that is let go of before its answer is whole is reset: "refused", so reset() first if anything was done. One whose
// answer is whole stays with the tunnel until its last byte has left.
using IncomingPtr = std::unique_ptr<IncomingCall, LetGo>;

// One request that has arrived whole, and the way to answer it.
// Thread:   the tunnel's worker.
// Lifetime: may outlive the tunnel, and is then gone(): nothing written any more arrives.
// Cancel:   letting go of it.
class IncomingCall final : public http::Incoming {
 public:
  ~IncomingCall() override;
  IncomingCall(const IncomingCall&) = delete;
  IncomingCall& operator=(const IncomingCall&) = delete;

  // Fields without pseudo headers and content-length.
  [[nodiscard]] const http::RequestHead& head() const noexcept override { return head_; }
  [[nodiscard]] std::string_view body() const noexcept { return body_.view(); }
  // Has it all already: body() is empty afterwards.
  Task<Status> read_body(Buffer& into, std::size_t limit_bytes, Reserve& reserve, net::Deadline until) override;

  Task<Status> respond(unsigned status, std::span<const http::Header> headers, std::string_view body) override;
  // Once, before the first append().
  void begin(unsigned status, std::span<const http::Header> headers) noexcept override;
  // Leaves in the next turn as far as the gateway's window allows.
  void append(std::string_view bytes) noexcept override;
  [[nodiscard]] Buffer& chunk() noexcept override { return out_; }
  [[nodiscard]] std::size_t pending_bytes() const noexcept override { return out_.size(); }
  // How much may be written now; what comes beyond waits in memory.
  [[nodiscard]] std::size_t room() const noexcept {
    return out_.size() < kPendingBytes ? kPendingBytes - out_.size() : 0;
  }
  // Returns once there is room() again. A gateway that takes nothing for BodyLimits::answer_gap has given the call up.
  Task<Status> flush() override;
  Task<Status> finish() override;
  static void finish(IncomingPtr call) noexcept;
  // The answer breaks off: what was written still leaves, then the stream is reset.
  static void break_off(IncomingPtr call, Reset why) noexcept;
  void reset(Reset why) noexcept;
  void abort() noexcept override { reset(Reset::kBackendLost); }

  // `wake` also hears when room() comes back.
  void watch_client(net::Signal* wake) noexcept override { wake_ = wake; }
  // The gateway gave the call up, or the tunnel is gone.
  [[nodiscard]] bool gone() noexcept override { return tunnel_ == nullptr; }
  void close_after_answer() noexcept override {}  // the tunnel is not this call's

  [[nodiscard]] std::chrono::milliseconds head_time() const noexcept override { return {}; }  // all of it is here
  [[nodiscard]] std::uint64_t bytes_in() const noexcept override { return counted_bytes_; }
  [[nodiscard]] std::uint64_t bytes_out() const noexcept override { return bytes_out_; }

 private:
  friend class AgentTunnel;
  friend struct LetGo;
  static constexpr std::size_t kPendingBytes = 64 * 1024;
  static constexpr std::size_t kUsualHeadBytes = 512;
  static constexpr std::size_t kUsualFields = 12;

  IncomingCall(AgentTunnel& tunnel, std::int32_t stream_id) noexcept;

  void keep_field(std::string_view name, std::string_view value);
  void complete_head();
  void detach() noexcept;
  void resume() noexcept;
  void push() noexcept;
  void mark_ended() noexcept;
  Task<void> await_room();

  AgentTunnel* tunnel_;  // null: the stream is over
  std::int32_t stream_id_;
  std::atomic<std::size_t>& buffered_;
  std::size_t counted_bytes_ = 0;  // of body_, in buffered_
  std::string method_, target_;
  std::string fields_;  // names and values, one behind the other
  struct FieldSize {
    std::uint32_t name, value;
  };
  std::vector<FieldSize> sizes_;  // of what stands in fields_
  http::RequestHead head_;        // points into the above
  Buffer body_;
  Buffer out_;
  std::uint64_t bytes_out_ = 0;
  net::Signal* wake_ = nullptr;
  net::Signal* room_back_ = nullptr;  // of a flush() that waits
  IncomingCall* next_ = nullptr;
  IncomingCall* previous_ = nullptr;
  bool touched_ = false;
  bool wrote_ = false;  // the first bytes of the body
  bool ended_ = false;
  std::optional<Reset> breaks_off_;  // once out_ is empty
  bool deferred_ = false;            // nghttp2 waits for resume()
};

// Takes requests of one tunnel.
class CallHandler {
 public:
  virtual ~CallHandler() = default;
  // Called between batches; may answer at once.
  virtual void handle(IncomingPtr call) noexcept = 0;
};

struct BodyLimits {
  std::size_t body_bytes = 64 * 1024 * 1024;    // of one request
  std::size_t total_bytes = 512 * 1024 * 1024;  // of all requests that are received or being answered
  // Nothing of an answer is taken for so long: as long as a gateway may let a call take, since the gateway bounds its
  // calls itself, and ends the stream of one that took too long.
  std::chrono::milliseconds answer_gap{86'400'000};
};

// Thread:   owning worker only; `buffered` is shared by all tunnels of the agent.
// Lifetime: handler and counter outlive it.
class AgentTunnel final : public Session {
 public:
  AgentTunnel(net::Loop& loop, const SessionOptions& options, const BodyLimits& limits,
              std::atomic<std::size_t>& buffered, CallHandler& handler) noexcept;
  ~AgentTunnel() override;

  [[nodiscard]] std::size_t streams() const noexcept { return streams_; }

 private:
  friend class IncomingCall;
  friend struct LetGo;
  struct Callbacks;

  void deliver() noexcept override;
  void fail_streams() noexcept override;
  void touch(IncomingCall& call) noexcept;
  void began(std::int32_t stream_id) noexcept;
  void took(IncomingCall& call, std::string_view bytes) noexcept;
  void closed(IncomingCall& call) noexcept;

  BodyLimits limits_;
  std::atomic<std::size_t>& buffered_;
  CallHandler& handler_;
  // Calls that the handler does not own: not yet whole, or answered and not yet sent.
  std::unordered_map<std::int32_t, std::unique_ptr<IncomingCall>> owned_;
  std::vector<IncomingPtr> whole_;  // received in this batch, not yet handed over
  std::vector<IncomingCall*> touched_;
  IncomingCall* calls_ = nullptr;  // whose stream is open, linked both ways
  std::size_t streams_ = 0;
};

}  // namespace sluice::tunnel
