#include "tunnel/agent_tunnel.h"

#include <charconv>

#include "tunnel/headers.h"

namespace sluice::tunnel {
namespace {

// The gateway's promise of a length is believed so far.
constexpr std::size_t kReserveAtMostBytes = 1024 * 1024;

std::uint32_t code_of(Reset why) noexcept {
  switch (why) {
    case Reset::kRefused:
      return NGHTTP2_REFUSED_STREAM;
    case Reset::kOverloaded:
      return NGHTTP2_ENHANCE_YOUR_CALM;
    case Reset::kBackendLost:
      return NGHTTP2_CONNECT_ERROR;
    case Reset::kNotForwarded:
      return NGHTTP2_INADEQUATE_SECURITY;
  }
  return NGHTTP2_INTERNAL_ERROR;
}

std::string_view text(const std::uint8_t* data, std::size_t length) noexcept {
  return {reinterpret_cast<const char*>(data), length};
}

}  // namespace

// What nghttp2 calls. It knows a stream by the IncomingCall in its user data; null: the call was given up.
struct AgentTunnel::Callbacks {
  static IncomingCall* call_of(nghttp2_session* session, std::int32_t stream_id) noexcept {
    return static_cast<IncomingCall*>(nghttp2_session_get_stream_user_data(session, stream_id));
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept {
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) static_cast<AgentTunnel*>(self)->began(frame->hd.stream_id);
    return 0;
  }

  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name_data,
                       std::size_t name_length, const std::uint8_t* value_data, std::size_t value_length, std::uint8_t,
                       void*) noexcept {
    IncomingCall* call = call_of(session, frame->hd.stream_id);
    if (call == nullptr || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    const std::string_view name = text(name_data, name_length);
    const std::string_view value = text(value_data, value_length);
    if (name == ":method") {
      call->method_ = value;
    } else if (name == ":path") {
      call->path_ = value;
    } else if (name == "content-length") {
      std::size_t length = 0;
      std::from_chars(value.data(), value.data() + value.size(), length);
      (void)call->body_.prepare(std::min(length, kReserveAtMostBytes));
    } else if (!name.starts_with(':')) {
      call->headers_.emplace_back(name, value);
    }
    return 0;
  }

  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t stream_id, const std::uint8_t* data,
                     std::size_t length, void* self) noexcept {
    nghttp2_session_consume_connection(session, length);
    nghttp2_session_consume_stream(session, stream_id, length);  // the body is buffered whole, within its limits
    if (IncomingCall* call = call_of(session, stream_id))
      static_cast<AgentTunnel*>(self)->took(*call, text(data, length));
    return 0;
  }

  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* self) noexcept {
    auto& tunnel = *static_cast<AgentTunnel*>(self);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
      tunnel.saw_frame(*frame);
      return 0;
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 || call_of(session, frame->hd.stream_id) == nullptr) return 0;
    if (auto node = tunnel.owned_.extract(frame->hd.stream_id)) tunnel.whole_.push_back(std::move(node.mapped()));
    return 0;
  }

  static int on_stream_close(nghttp2_session* session, std::int32_t stream_id, std::uint32_t, void* self) noexcept {
    auto& tunnel = *static_cast<AgentTunnel*>(self);
    if (IncomingCall* call = call_of(session, stream_id)) tunnel.closed(*call);
    tunnel.owned_.erase(stream_id);
    return 0;
  }

  static ssize_t read_body(nghttp2_session* session, std::int32_t stream_id, std::uint8_t*, std::size_t length,
                           std::uint32_t* flags, nghttp2_data_source*, void*) noexcept {
    IncomingCall* call = call_of(session, stream_id);
    if (call == nullptr) return NGHTTP2_ERR_DEFERRED;  // RST_STREAM is on its way
    const std::size_t size = std::min(length, call->out_.size());
    if (size == 0 && !call->ended_) {
      call->deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (call->ended_ && size == call->out_.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (call->breaks_off_) *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return static_cast<ssize_t>(size);
  }

  static int send_body(nghttp2_session* session, nghttp2_frame* frame, const std::uint8_t* frame_head,
                       std::size_t length, nghttp2_data_source*, void* self) noexcept {
    auto& tunnel = *static_cast<AgentTunnel*>(self);
    if (!tunnel.has_room()) return NGHTTP2_ERR_WOULDBLOCK;
    IncomingCall* call = call_of(session, frame->hd.stream_id);
    if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    tunnel.output().append(text(frame_head, kFrameHeadBytes));
    tunnel.output().append(call->out_.view().substr(0, length));
    const bool was_full = call->room() == 0;
    call->out_.consume(length);
    if (was_full && call->room() != 0) tunnel.touch(*call);
    if (call->breaks_off_ && call->out_.empty()) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, code_of(*call->breaks_off_));
    }
    return 0;
  }
};

AgentTunnel::AgentTunnel(net::Loop& loop, const SessionOptions& options, const BodyLimits& limits,
                         std::atomic<std::size_t>& buffered, CallHandler& handler) noexcept
    : Session(loop, options), limits_(limits), buffered_(buffered), handler_(handler) {
  const auto callbacks = make_callbacks<Callbacks>();
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks.get(), &Callbacks::on_begin_headers);
  Session::start(Role::kAgent, callbacks.get());
}

AgentTunnel::~AgentTunnel() { AgentTunnel::fail_streams(); }

void AgentTunnel::began(std::int32_t stream_id) noexcept {
  allow_frames(kFramesOfACall);
  auto call = std::unique_ptr<IncomingCall>(new IncomingCall(*this, stream_id));
  nghttp2_session_set_stream_user_data(h2(), stream_id, call.get());
  call->next_ = calls_;
  if (calls_ != nullptr) calls_->previous_ = call.get();
  calls_ = call.get();
  ++streams_;
  owned_.emplace(stream_id, std::move(call));
}

void AgentTunnel::took(IncomingCall& call, std::string_view bytes) noexcept {
  const std::size_t total = buffered_.fetch_add(bytes.size(), std::memory_order_relaxed) + bytes.size();
  call.counted_bytes_ += bytes.size();
  call.body_.append(bytes);
  if (call.body_.size() > limits_.body_bytes || total > limits_.total_bytes) {
    call.reset(Reset::kOverloaded);
    owned_.erase(std::int32_t{call.stream_id_});
  }
}

void AgentTunnel::touch(IncomingCall& call) noexcept {
  if (call.touched_ || call.wake_ == nullptr) return;
  call.touched_ = true;
  touched_.push_back(&call);
}

void AgentTunnel::deliver() noexcept {
  for (IncomingCall* call : touched_) {
    call->touched_ = false;
    if (call->wake_ != nullptr) call->wake_->notify();
  }
  touched_.clear();
  // The handler may write, reset or destroy calls, none of which comes back here: frames are made in collect() alone.
  for (auto& call : std::exchange(whole_, {})) {
    if (call->cancelled()) continue;
    handler_.handle(std::move(call));
  }
}

// The stream is over. A call that the handler has not seen dies with it.
void AgentTunnel::closed(IncomingCall& call) noexcept {
  touch(call);
  call.detach();
}

void AgentTunnel::fail_streams() noexcept {
  owned_.clear();
  whole_.clear();
  while (calls_ != nullptr) closed(*calls_);
  deliver();
}

IncomingCall::IncomingCall(AgentTunnel& tunnel, std::int32_t stream_id) noexcept
    : tunnel_(&tunnel), stream_id_(stream_id), buffered_(tunnel.buffered_) {}

IncomingCall::~IncomingCall() {
  buffered_.fetch_sub(counted_bytes_, std::memory_order_relaxed);
  if (tunnel_ == nullptr) return;
  if (touched_) std::erase(tunnel_->touched_, this);
  reset(Reset::kRefused);
}

void IncomingCall::respond(unsigned status, std::span<const http::Header> headers) noexcept {
  if (tunnel_ == nullptr) return;
  HeaderBlock block;
  std::array<char, 10> digits;  // NOLINT: written by to_chars
  const auto end = std::to_chars(digits.begin(), digits.end(), status).ptr;
  block.add(":status", {digits.data(), static_cast<std::size_t>(end - digits.data())});
  for (const http::Header& header : headers) block.add(header.name, header.value);
  nghttp2_data_provider body{};
  body.read_callback = &AgentTunnel::Callbacks::read_body;
  nghttp2_submit_response(tunnel_->h2(), stream_id_, block.data(), block.size(), &body);
  tunnel_->flush_later();
}

void IncomingCall::write(std::string_view bytes) noexcept {
  if (tunnel_ == nullptr || bytes.empty()) return;
  out_.append(bytes);
  resume();
  if (!std::exchange(wrote_, true)) tunnel_->flush_soon();
}

void IncomingCall::finish(std::unique_ptr<IncomingCall> call) noexcept {
  if (call->tunnel_ == nullptr) return;
  AgentTunnel& tunnel = *call->tunnel_;
  call->ended_ = true;
  call->wake_ = nullptr;
  call->body_.release();
  call->resume();
  tunnel.owned_.emplace(call->stream_id_, std::move(call));
}

void IncomingCall::break_off(std::unique_ptr<IncomingCall> call, Reset why) noexcept {
  if (call->out_.empty()) return call->reset(why);
  call->breaks_off_ = why;
  finish(std::move(call));
}

void IncomingCall::resume() noexcept {
  if (deferred_) {
    deferred_ = false;
    nghttp2_session_resume_data(tunnel_->h2(), stream_id_);
  }
  tunnel_->flush_later();
}

void IncomingCall::reset(Reset why) noexcept {
  if (tunnel_ == nullptr) return;
  nghttp2_submit_rst_stream(tunnel_->h2(), NGHTTP2_FLAG_NONE, stream_id_, code_of(why));
  nghttp2_session_set_stream_user_data(tunnel_->h2(), stream_id_, nullptr);
  tunnel_->flush_later();
  detach();
}

void IncomingCall::detach() noexcept {
  AgentTunnel& tunnel = *tunnel_;
  if (previous_ != nullptr) previous_->next_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  if (tunnel.calls_ == this) tunnel.calls_ = next_;
  next_ = previous_ = nullptr;
  --tunnel.streams_;
  tunnel_ = nullptr;
}

}  // namespace sluice::tunnel
