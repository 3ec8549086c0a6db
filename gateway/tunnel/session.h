// One HTTP/2 session over one connection: what both ends of a tunnel have in common.
//
//   socket -> try_read until dry -> nghttp2 -> streams are marked -> marked streams are woken, once each
//   nghttp2 -> one buffer -> one write for each turn of the loop
//
// An agent's end that writes thousands of times a second rests for 100 µs between two writes: the tokens of many
// streams then travel as one record, one packet and one wake-up of the gateway, as a network card gathers packets
// before it interrupts. The first bytes of an answer do not wait.
//
// The gateway is the HTTP/2 client and the agent the server, although the agent dialled. Connection credit returns on
// receipt, stream credit when the receiver has passed the bytes on: a slow stream slows nobody else. Every buffer that
// held plaintext is wiped as soon as it has been used.
#pragma once

#include <nghttp2/nghttp2.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/held_bytes.h"
#include "base/result.h"
#include "net/stream.h"
#include "net/task_group.h"

namespace sluice::tunnel {

// What its control requests' paths begin with. Nothing under it is ever forwarded.
inline constexpr std::string_view kControlPrefix = "/.sluice/v1/";

struct SessionOptions {
  std::uint32_t stream_window_bytes = 256 * 1024;
  std::uint32_t connection_window_bytes = 16 * 1024 * 1024;
  std::uint32_t max_streams = 8192;
  std::chrono::milliseconds ping_interval{10'000};  // each wait is 75 % to 125 % of it
  unsigned missed_pings = 3;                        // so many silent intervals end the tunnel
  HeldBytes* held = nullptr;                        // what is received for calls counts here; null: nowhere
  unsigned control_frames = 10'000;                 // without content, from the peer in a second; beyond: kProtocol
  bool operator==(const SessionOptions&) const = default;
};

enum class Role : std::uint8_t { kGateway, kAgent };

// Why a session is over.
enum class SessionEnd : std::uint8_t {
  kOpen,      // it is not
  kDrained,   // GOAWAY, and the last stream has ended
  kPeer,      // the peer closed or reset the connection
  kSilent,    // pings were not answered
  kProtocol,  // the peer broke HTTP/2
  kClosed,    // we closed it
};
[[nodiscard]] const char* to_string(SessionEnd end) noexcept;

struct SessionDeleter {
  void operator()(nghttp2_session* session) const noexcept { nghttp2_session_del(session); }
};

// Thread:   owning worker only.
// Lifetime: run() has returned, or was never called, before destruction. Streams may outlive it: they have failed.
// Cancel:   close() ends run() in a later turn.
class Session {
 public:
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session();

  // Moves bytes until the session is over, then fails every stream and closes the connection. Reads before it waits.
  Task<void> run(std::unique_ptr<net::Stream> stream);

  // GOAWAY: running streams finish, no new one begins, then the session ends.
  void leave() noexcept;
  void close(SessionEnd why = SessionEnd::kClosed) noexcept;

  [[nodiscard]] SessionEnd end() const noexcept { return end_; }
  // GOAWAY was sent or received: no new stream.
  [[nodiscard]] bool leaving() const noexcept { return leaving_ || end_ != SessionEnd::kOpen; }
  [[nodiscard]] net::Loop& loop() noexcept { return loop_; }
  // `signal` hears when leaving() becomes true. It outlives the session.
  void watch_leaving(net::Signal* signal) noexcept { leaving_signal_ = signal; }

  // The protocol without its socket, for run() and for tests that pipe two sessions together.
  // Takes what arrived; marked streams are woken before it returns.
  Status receive(std::span<const char> bytes) noexcept;
  // Puts frames into output() until nothing is left or it is full.
  void collect() noexcept;
  [[nodiscard]] Buffer& output() noexcept { return out_; }

 protected:
  Session(net::Loop& loop, const SessionOptions& options) noexcept;

  // Makes the nghttp2 session and queues its SETTINGS. `callbacks` already holds what the role adds.
  void start(Role role, nghttp2_session_callbacks* callbacks) noexcept;
  // Something may have been queued: it leaves in a later turn, together with what else is queued until then.
  void flush_later() noexcept { wake_.notify(); }
  // The same for what somebody waits for already: it does not wait for a rest to end.
  void flush_soon() noexcept {
    urgent_ = true;
    wake_.notify();
  }
  // True: a DATA frame of `size_bytes` finds room in output() now.
  [[nodiscard]] bool has_room() const noexcept { return out_.size() < kOutputLimitBytes; }
  [[nodiscard]] nghttp2_session* h2() const noexcept { return h2_.get(); }
  [[nodiscard]] const SessionOptions& options() const noexcept { return options_; }
  [[nodiscard]] bool in_batch() const noexcept { return in_batch_; }

  // For nghttp2: a frame begins.
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* self) noexcept;
  // The peer may send `frames` more that carry no content: a call has begun, which has a head, an end, a reset.
  static constexpr unsigned kFramesOfACall = 4;
  void allow_frames(unsigned frames) noexcept { control_left_ += frames; }

  // A frame has arrived that both roles treat alike: answers to pings, GOAWAY.
  void saw_frame(const nghttp2_frame& frame) noexcept;

  // Wakes what the last batch marked.
  virtual void deliver() noexcept = 0;
  // The session is over: fail every stream.
  virtual void fail_streams() noexcept = 0;

 private:
  static constexpr std::size_t kOutputLimitBytes = 256 * 1024;
  static constexpr std::size_t kScratchBytes = 16 * 1024;

  class PingAlarm final : public net::Alarm {
   public:
    explicit PingAlarm(Session& session) noexcept : Alarm(session.loop_.wheel()), session_(session) {}

   private:
    void expired() noexcept override { session_.ping(); }
    Session& session_;
  };

  static ssize_t send(nghttp2_session*, const std::uint8_t* data, std::size_t length, int, void* self) noexcept;

  void set_leaving() noexcept;
  void ping() noexcept;
  void arm_ping() noexcept;
  void read_all() noexcept;
  [[nodiscard]] bool too_many_frames() noexcept;
  bool writes_follow_closely() noexcept;
  Task<void> rest();
  void write_all() noexcept;
  Task<void> wait_writable();

  net::Loop& loop_;
  SessionOptions options_;
  std::unique_ptr<nghttp2_session, SessionDeleter> h2_;
  std::unique_ptr<net::Stream> stream_;
  net::Signal wake_;  // bytes to read, frames to write, room to write, rested, or closed
  asio::basic_waitable_timer<Mono, asio::wait_traits<Mono>, Executor> rest_timer_;
  PingAlarm ping_alarm_;
  net::TaskGroup tasks_;
  net::Signal* leaving_signal_ = nullptr;
  Buffer out_;
  SessionEnd end_ = SessionEnd::kOpen;
  Role role_ = Role::kGateway;
  unsigned silent_intervals_ = 0;
  bool heard_ = true;        // since the last ping
  bool leaving_ = false;     // GOAWAY was sent or received
  bool goaway_due_ = false;  // the notice is out: the binding GOAWAY follows the next answer to a ping
  bool in_batch_ = false;
  bool waits_to_write_ = false;
  bool resting_ = false;  // nothing is written until the timer ends it, unless it is
  bool urgent_ = false;
  bool busy_ = false;  // writes followed closely in the last window
  unsigned window_writes_ = 0;
  MonoTime window_began_{};
  std::size_t frames_ = 0;      // begun since the stream was last charged
  std::uint64_t control_left_;  // frames without content that may still come in this second
  MonoTime control_since_{};
};

}  // namespace sluice::tunnel
