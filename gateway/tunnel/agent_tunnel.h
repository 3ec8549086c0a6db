// The agent's end of a tunnel: the HTTP/2 server, which hands whole requests to a handler.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/call.h"
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

// One request that has arrived whole, and the way to answer it.
// Thread:   the tunnel's worker.
// Lifetime: may outlive the tunnel, and is then cancelled().
// Cancel:   destruction before finish() resets the stream: "refused", so reset() first if anything was done.
class IncomingCall final {
 public:
  ~IncomingCall();
  IncomingCall(const IncomingCall&) = delete;
  IncomingCall& operator=(const IncomingCall&) = delete;

  [[nodiscard]] std::string_view method() const noexcept { return method_; }
  [[nodiscard]] std::string_view path() const noexcept { return path_; }
  // Without pseudo headers and content-length.
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& headers() const noexcept { return headers_; }
  [[nodiscard]] std::string_view body() const noexcept { return body_.view(); }

  // `wake` hears when room() comes back and of cancellation. Null: nobody.
  void wake_on_change(net::Signal* wake) noexcept { wake_ = wake; }
  // The gateway gave the call up, or the tunnel is gone: nothing written any more arrives.
  [[nodiscard]] bool cancelled() const noexcept { return tunnel_ == nullptr; }

  // Once, before the first write().
  void respond(unsigned status, std::span<const http::Header> headers) noexcept;
  // Bytes of the answer's body; they leave in the next turn as far as the gateway's window allows.
  void write(std::string_view bytes) noexcept;
  // How much may be written now; what comes beyond waits in memory.
  [[nodiscard]] std::size_t room() const noexcept {
    return out_.size() < kPendingBytes ? kPendingBytes - out_.size() : 0;
  }
  // The answer is whole: the tunnel keeps the call until its last byte has left.
  static void finish(std::unique_ptr<IncomingCall> call) noexcept;
  // The answer breaks off: what was written still leaves, then the stream is reset.
  static void break_off(std::unique_ptr<IncomingCall> call, Reset why) noexcept;
  void reset(Reset why) noexcept;

 private:
  friend class AgentTunnel;
  static constexpr std::size_t kPendingBytes = 64 * 1024;

  IncomingCall(AgentTunnel& tunnel, std::int32_t stream_id) noexcept;

  void detach() noexcept;
  void resume() noexcept;

  AgentTunnel* tunnel_;  // null: the stream is over
  std::int32_t stream_id_;
  std::atomic<std::size_t>& buffered_;
  std::size_t counted_bytes_ = 0;  // of body_, in buffered_
  std::string method_;
  std::string path_;
  std::vector<std::pair<std::string, std::string>> headers_;
  Buffer body_;
  Buffer out_;
  net::Signal* wake_ = nullptr;
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
  virtual void handle(std::unique_ptr<IncomingCall> call) noexcept = 0;
};

struct BodyLimits {
  std::size_t body_bytes = 64 * 1024 * 1024;    // of one request
  std::size_t total_bytes = 512 * 1024 * 1024;  // of all requests that are received or being answered
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
  std::vector<std::unique_ptr<IncomingCall>> whole_;  // received in this batch, not yet handed over
  std::vector<IncomingCall*> touched_;
  IncomingCall* calls_ = nullptr;  // whose stream is open, linked both ways
  std::size_t streams_ = 0;
};

}  // namespace sluice::tunnel
