#include "tunnel/gateway_tunnel.h"

#include <array>
#include <charconv>

#include "tunnel/gateway_call.h"
#include "tunnel/headers.h"

namespace sluice::tunnel {
namespace {

// Half of all client stream ids: a tunnel is replaced when it comes so far.
constexpr std::int32_t kWornStreamId = 1 << 29;

}  // namespace

// What nghttp2 calls. It knows a stream by the GatewayCall in its user data; null: the call was given up.
struct GatewayTunnel::Callbacks {
  static GatewayCall* call_of(nghttp2_session* session, std::int32_t stream_id) noexcept {
    return static_cast<GatewayCall*>(nghttp2_session_get_stream_user_data(session, stream_id));
  }

  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_length, const std::uint8_t* value, std::size_t value_length, std::uint8_t,
                       void*) noexcept {
    if (GatewayCall* call = call_of(session, frame->hd.stream_id)) {
      call->add_header({reinterpret_cast<const char*>(name), name_length},
                       {reinterpret_cast<const char*>(value), value_length});
    }
    return 0;
  }

  static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t stream_id, const std::uint8_t* data,
                     std::size_t length, void* self) noexcept {
    nghttp2_session_consume_connection(session, length);
    if (GatewayCall* call = call_of(session, stream_id)) {
      static_cast<GatewayTunnel*>(self)->touch(*call);
      call->take({reinterpret_cast<const char*>(data), length});
    } else {
      nghttp2_session_consume_stream(session, stream_id, length);
    }
    return 0;
  }

  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* self) noexcept {
    auto& tunnel = *static_cast<GatewayTunnel*>(self);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
      tunnel.saw_frame(*frame);
      return 0;
    }
    GatewayCall* call = call_of(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) call->end_head();
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && call->head_complete_ &&
        call->state_ == http::CallState::kRunning) {
      call->state_ = http::CallState::kEnded;
    }
    tunnel.touch(*call);
    return 0;
  }

  static int on_frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void*) noexcept {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (GatewayCall* call = call_of(session, frame->hd.stream_id)) call->sent_ = true;
    return 0;
  }

  static int on_stream_close(nghttp2_session* session, std::int32_t stream_id, std::uint32_t code, void*) noexcept {
    if (GatewayCall* call = call_of(session, stream_id)) call->closed(code);
    return 0;
  }

  static ssize_t read_body(nghttp2_session* session, std::int32_t stream_id, std::uint8_t*, std::size_t length,
                           std::uint32_t* flags, nghttp2_data_source*, void*) noexcept {
    const GatewayCall* call = call_of(session, stream_id);
    if (call == nullptr) return NGHTTP2_ERR_DEFERRED;  // RST_STREAM is on its way
    const std::size_t size = std::min(length, call->body_left_);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (size == call->body_left_) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(size);
  }

  static int send_body(nghttp2_session* session, nghttp2_frame* frame, const std::uint8_t* frame_head,
                       std::size_t length, nghttp2_data_source*, void* self) noexcept {
    auto& tunnel = *static_cast<GatewayTunnel*>(self);
    if (!tunnel.has_room()) return NGHTTP2_ERR_WOULDBLOCK;
    GatewayCall* call = call_of(session, frame->hd.stream_id);
    if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    tunnel.output().append({reinterpret_cast<const char*>(frame_head), kFrameHeadBytes});
    call->copy_body(tunnel.output(), length);
    return 0;
  }
};

GatewayTunnel::GatewayTunnel(net::Loop& loop, const SessionOptions& options) noexcept : Session(loop, options) {
  const auto callbacks = make_callbacks<Callbacks>();
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks.get(), &Callbacks::on_frame_sent);
  Session::start(Role::kGateway, callbacks.get());
}

GatewayTunnel::~GatewayTunnel() { GatewayTunnel::fail_streams(); }

std::unique_ptr<http::OutgoingCall> GatewayTunnel::start(const http::OutgoingRequest& request,
                                                         net::Signal& wake) noexcept {
  auto call = std::make_unique<GatewayCall>(request, wake, options().held);
  if (room() == 0) {
    call->fail(upstream_error(leaving() ? ErrorKind::kUnavailable : ErrorKind::kOverloaded, "no room on the tunnel",
                              Retry::kYes));
    wake.notify();
    return call;
  }
  HeaderBlock block;
  block.add(":method", request.method);
  block.add(":scheme", "https");
  block.add(":authority", "agent");
  block.add(":path", request.path);
  for (const http::Header& header : request.headers) block.add(header.name, header.value);
  std::array<char, 20> digits;  // NOLINT: written by to_chars
  if (call->body_left_ != 0 || request.method == "POST") {
    const auto end = std::to_chars(digits.begin(), digits.end(), call->body_left_).ptr;
    block.add("content-length", {digits.data(), static_cast<std::size_t>(end - digits.data())});
  }
  nghttp2_data_provider body{};
  body.read_callback = &Callbacks::read_body;
  const std::int32_t id = nghttp2_submit_request(h2(), nullptr, block.data(), block.size(),
                                                 call->body_left_ == 0 ? nullptr : &body, call.get());
  if (id < 0) {
    call->fail(upstream_error(ErrorKind::kUnavailable, "the tunnel opens no more streams", Retry::kYes));
    wake.notify();
    return call;
  }
  allow_frames(kFramesOfACall);
  call->stream_id_ = id;
  call->tunnel_ = this;
  call->next_ = calls_;
  if (calls_ != nullptr) calls_->previous_ = call.get();
  calls_ = call.get();
  ++streams_;
  flush_later();
  return call;
}

std::size_t GatewayTunnel::room() const noexcept {
  if (leaving()) return 0;
  const std::size_t limit = nghttp2_session_get_remote_settings(h2(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return limit > streams_ ? limit - streams_ : 0;
}

bool GatewayTunnel::worn() const noexcept {
  return nghttp2_session_get_next_stream_id(h2()) >= static_cast<std::uint32_t>(kWornStreamId);
}

void GatewayTunnel::touch(GatewayCall& call) noexcept {
  if (call.touched_) return;
  call.touched_ = true;
  touched_.push_back(&call);
}

void GatewayTunnel::deliver() noexcept {
  for (GatewayCall* call : touched_) {
    call->touched_ = false;
    call->wake_.notify();
  }
  touched_.clear();
}

void GatewayTunnel::fail_streams() noexcept {
  while (calls_ != nullptr) calls_->closed(NGHTTP2_INTERNAL_ERROR);
  deliver();
}

GatewayCall::GatewayCall(const http::OutgoingRequest& request, net::Signal& wake, HeldBytes* held) noexcept
    : holding_(held), wake_(wake), parts_(request.body) {
  for (const std::string_view part : parts_) body_left_ += part.size();
}

GatewayCall::~GatewayCall() {
  if (tunnel_ == nullptr) return;
  GatewayTunnel& tunnel = *tunnel_;
  give_up(NGHTTP2_CANCEL);
  std::erase(tunnel.touched_, this);
}

// Resets the stream. Credit for what nobody will take is not given back; the connection's was, on receipt.
void GatewayCall::give_up(std::uint32_t code) noexcept {
  GatewayTunnel& tunnel = *tunnel_;
  nghttp2_session_set_stream_user_data(tunnel.h2(), stream_id_, nullptr);
  nghttp2_submit_rst_stream(tunnel.h2(), NGHTTP2_FLAG_NONE, stream_id_, code);
  closed(code);
  tunnel.flush_later();
}

void GatewayCall::take(std::string_view bytes) noexcept {
  body_.append(bytes);
  if (holding_.set(body_.size())) return;
  if (state_ == http::CallState::kRunning) fail(kHoldsTooMuch);
  give_up(NGHTTP2_CANCEL);
}

void GatewayCall::taken(std::size_t size_bytes) noexcept {
  (void)holding_.set(body_.size());
  if (tunnel_ == nullptr || size_bytes == 0) return;
  nghttp2_session_consume_stream(tunnel_->h2(), stream_id_, size_bytes);
  if (nghttp2_session_want_write(tunnel_->h2()) != 0) tunnel_->flush_later();
}

void GatewayCall::add_header(std::string_view name, std::string_view value) noexcept {
  if (!head_complete_) keep_answer_header(head_, name, value);  // else a trailer
}

void GatewayCall::end_head() noexcept {
  if (head_complete_) return;
  if (head_.status / 100 == 1) {
    head_ = {};
  } else {
    head_complete_ = true;
  }
}

void GatewayCall::fail(Error error) noexcept {
  state_ = http::CallState::kFailed;
  error_ = error;
}

void GatewayCall::closed(std::uint32_t code) noexcept {
  GatewayTunnel& tunnel = *tunnel_;
  if (state_ == http::CallState::kRunning) {
    Error error = error_of_reset(code, sent_ ? Retry::kNo : Retry::kYes);
    // Not the agent: a tunnel that leaves takes no call any more, and another one may.
    if (error.kind == ErrorKind::kRefused && tunnel.leaving()) error.kind = ErrorKind::kUnavailable;
    fail(error);
  }
  if (previous_ != nullptr) previous_->next_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  if (tunnel.calls_ == this) tunnel.calls_ = next_;
  next_ = previous_ = nullptr;
  --tunnel.streams_;
  tunnel_ = nullptr;
  tunnel.touch(*this);
}

void GatewayCall::copy_body(Buffer& into, std::size_t size_bytes) noexcept {
  body_left_ -= size_bytes;
  while (size_bytes != 0) {
    const std::string_view rest = parts_.front().substr(part_offset_);
    const std::string_view piece = rest.substr(0, size_bytes);
    into.append(piece);
    size_bytes -= piece.size();
    part_offset_ += piece.size();
    if (piece.size() == rest.size()) {
      parts_ = parts_.subspan(1);
      part_offset_ = 0;
    }
  }
}

}  // namespace sluice::tunnel
