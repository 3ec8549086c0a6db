#include "tunnel/session.h"

#include <openssl/rand.h>

#include <array>
#include <utility>

namespace sluice::tunnel {
namespace {

// The peer takes nothing for so long: pings would have ended the session before.
constexpr std::chrono::seconds kWriteGap{60};

// Far below what anybody sees in a stream of tokens, and several tokens long where hundreds of streams run. A quiet
// tunnel never rests.
constexpr std::chrono::microseconds kRest{100};
constexpr std::chrono::milliseconds kBusyWindow{10};
constexpr unsigned kBusyWrites = 40;  // in a window

struct OptionDeleter {
  void operator()(nghttp2_option* option) const noexcept { nghttp2_option_del(option); }
};

std::unique_ptr<nghttp2_option, OptionDeleter> make_options(const SessionOptions& options) noexcept {
  nghttp2_option* option = nullptr;
  if (nghttp2_option_new(&option) != 0) std::abort();
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_peer_max_concurrent_streams(option, options.max_streams);
  // By default the 1,001st quick cancel is answered with GOAWAY, and one storm of aborts would cut every stream. The
  // peer is our own gateway, known by its certificate.
  nghttp2_option_set_stream_reset_rate_limit(option, 1'000'000'000, 1'000'000'000);
  return std::unique_ptr<nghttp2_option, OptionDeleter>(option);
}

std::uint32_t random_number() noexcept {
  std::uint32_t number = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof number);
  return number;
}

}  // namespace

const char* to_string(SessionEnd end) noexcept {
  switch (end) {
    case SessionEnd::kOpen:
      return "open";
    case SessionEnd::kDrained:
      return "drained";
    case SessionEnd::kPeer:
      return "peer closed the connection";
    case SessionEnd::kSilent:
      return "peer did not answer pings";
    case SessionEnd::kProtocol:
      return "peer broke the protocol";
    case SessionEnd::kClosed:
      return "closed here";
  }
  return "unknown";
}

Session::Session(net::Loop& loop, const SessionOptions& options) noexcept
    : loop_(loop),
      options_(options),
      wake_(loop),
      rest_timer_(loop.executor()),
      ping_alarm_(*this),
      tasks_(loop, [](const char*) {}),
      control_left_(options.control_frames) {}

Session::~Session() = default;

void Session::start(Role role, nghttp2_session_callbacks* callbacks) noexcept {
  role_ = role;
  nghttp2_session_callbacks_set_send_callback(callbacks, &Session::send);
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, &Session::on_begin_frame);
  const auto option = make_options(options_);
  nghttp2_session* session = nullptr;
  const int made = role == Role::kGateway ? nghttp2_session_client_new2(&session, callbacks, this, option.get())
                                          : nghttp2_session_server_new2(&session, callbacks, this, option.get());
  if (made != 0) std::abort();  // out of memory
  h2_.reset(session);
  const std::array settings{
      nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, role == Role::kAgent ? options_.max_streams : 0},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.stream_window_bytes},
      nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  };
  // ENABLE_PUSH is the client's to say.
  const std::size_t count = role == Role::kGateway ? settings.size() : settings.size() - 1;
  if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), count) != 0) std::abort();
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(options_.connection_window_bytes));
}

Task<void> Session::run(std::unique_ptr<net::Stream> stream) {
  stream_ = std::move(stream);
  stream_->watch_readable(&wake_);
  arm_ping();
  while (end_ == SessionEnd::kOpen) {
    read_all();
    if (!resting_ || urgent_) write_all();
    if (end_ != SessionEnd::kOpen) break;
    (void)co_await wake_.wait();
  }
  ping_alarm_.disarm();
  fail_streams();
  stream_->watch_readable(nullptr);
  stream_->close();
  co_await tasks_.join();
  out_.release();
}

// Until the socket is dry or the stream's turn is spent, of which every frame takes its part.
void Session::read_all() noexcept {
  std::array<char, kScratchBytes> scratch;  // NOLINT: filled before it is read, wiped behind each read
  while (end_ == SessionEnd::kOpen) {
    const Result<std::size_t> got = stream_->try_read(scratch);
    if (!got) {
      if (got.error().kind != ErrorKind::kWouldBlock) close(SessionEnd::kPeer);
      return;
    }
    if (*got == 0) return close(leaving_ ? SessionEnd::kDrained : SessionEnd::kPeer);
    const Status status = receive({scratch.data(), *got});
    wipe(scratch.data(), *got);
    stream_->charge(std::exchange(frames_, 0));
    if (!status) close(SessionEnd::kProtocol);
  }
}

bool Session::writes_follow_closely() noexcept {
  const MonoTime now = Mono::now();
  if (now - window_began_ >= kBusyWindow) {
    busy_ = window_writes_ >= kBusyWrites && now - window_began_ < 2 * kBusyWindow;
    window_writes_ = 0;
    window_began_ = now;
  }
  ++window_writes_;
  return busy_;
}

Task<void> Session::rest() {
  rest_timer_.expires_after(kRest);
  co_await rest_timer_.async_wait(use_task);
  resting_ = false;
  wake_.notify();
}

void Session::write_all() noexcept {
  while (!waits_to_write_) {
    urgent_ = false;
    collect();
    if (out_.empty()) break;
    const Result<std::size_t> wrote = stream_->try_write(out_.view());
    if (wrote) {
      out_.consume(*wrote);
      if (!resting_ && role_ == Role::kAgent && writes_follow_closely()) {
        resting_ = true;
        tasks_.spawn(rest());
      }
    } else if (wrote.error().kind == ErrorKind::kWouldBlock) {
      waits_to_write_ = true;
      tasks_.spawn(wait_writable());
    } else {
      return close(SessionEnd::kPeer);
    }
  }
  if (out_.empty() && nghttp2_session_want_read(h2()) == 0 && nghttp2_session_want_write(h2()) == 0) {
    close(SessionEnd::kDrained);
  }
}

Task<void> Session::wait_writable() {
  const Status status = co_await stream_->wait_writable(net::Deadline::after(kWriteGap));
  waits_to_write_ = false;
  if (!status) close(SessionEnd::kPeer);
  wake_.notify();
}

Status Session::receive(std::span<const char> bytes) noexcept {
  heard_ = true;
  in_batch_ = true;
  const ssize_t taken =
      nghttp2_session_mem_recv(h2(), reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  in_batch_ = false;
  deliver();
  if (taken < 0)
    return Error{ErrorKind::kProtocol, Origin::kUpstream, Retry::kNo, 0, static_cast<int>(taken), "HTTP/2"};
  return ok();
}

// What carries nothing costs its sender 14 bytes, and us as much as an event. The answers to what we asked for are
// allowed for when we ask.
int Session::on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* self) noexcept {
  auto& session = *static_cast<Session*>(self);
  ++session.frames_;
  if (head->type == NGHTTP2_DATA && head->length != 0) return 0;
  if (head->type == NGHTTP2_HEADERS && session.role_ == Role::kAgent) return 0;  // the gateway asks
  return session.too_many_frames() ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

// The clock is asked only where a second's worth has come.
bool Session::too_many_frames() noexcept {
  if (control_left_ == 0) {
    const MonoTime now = Mono::now();
    if (now - control_since_ < std::chrono::seconds(1)) return true;
    control_since_ = now;
    control_left_ = options_.control_frames;
  }
  --control_left_;
  return false;
}

void Session::collect() noexcept {
  if (const int sent = nghttp2_session_send(h2()); sent != 0 && end_ == SessionEnd::kOpen) close(SessionEnd::kProtocol);
  deliver();  // streams whose bytes have left may want to add more
}

ssize_t Session::send(nghttp2_session*, const std::uint8_t* data, std::size_t length, int, void* self) noexcept {
  auto& session = *static_cast<Session*>(self);
  if (!session.has_room()) return NGHTTP2_ERR_WOULDBLOCK;
  session.out_.append({reinterpret_cast<const char*>(data), length});
  return static_cast<ssize_t>(length);
}

void Session::leave() noexcept {
  if (leaving_ || end_ != SessionEnd::kOpen) return;
  set_leaving();
  if (role_ == Role::kAgent) {
    // First a notice that names no stream: requests already on their way are still taken. What is binding follows once
    // the gateway has answered a ping, for then it has read the notice (RFC 9113, 6.8).
    nghttp2_submit_shutdown_notice(h2());
    nghttp2_submit_ping(h2(), NGHTTP2_FLAG_NONE, nullptr);
    goaway_due_ = true;
  } else {
    nghttp2_submit_goaway(h2(), NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, nullptr, 0);
  }
  flush_later();
}

void Session::close(SessionEnd why) noexcept {
  if (end_ != SessionEnd::kOpen) return;
  end_ = why;
  wake_.notify();
  if (leaving_signal_ != nullptr) leaving_signal_->notify();
}

void Session::set_leaving() noexcept {
  leaving_ = true;
  if (leaving_signal_ != nullptr) leaving_signal_->notify();
}

void Session::saw_frame(const nghttp2_frame& frame) noexcept {
  if (frame.hd.type == NGHTTP2_GOAWAY) {
    set_leaving();
  } else if (frame.hd.type == NGHTTP2_PING && (frame.hd.flags & NGHTTP2_FLAG_ACK) != 0 && goaway_due_) {
    goaway_due_ = false;
    nghttp2_submit_goaway(h2(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2()), NGHTTP2_NO_ERROR,
                          nullptr, 0);
  }
}

void Session::arm_ping() noexcept {
  const auto interval = std::chrono::duration_cast<std::chrono::microseconds>(options_.ping_interval);
  const auto jitter = interval / 2 * (random_number() % 1024) / 1024;
  ping_alarm_.arm(net::Deadline::after(interval * 3 / 4 + jitter));
}

void Session::ping() noexcept {
  silent_intervals_ = heard_ ? 0 : silent_intervals_ + 1;
  if (silent_intervals_ >= options_.missed_pings) return close(SessionEnd::kSilent);
  heard_ = false;
  nghttp2_submit_ping(h2(), NGHTTP2_FLAG_NONE, nullptr);
  flush_later();
  arm_ping();
}

}  // namespace sluice::tunnel
