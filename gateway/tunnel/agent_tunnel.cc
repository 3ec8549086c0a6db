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
      call->target_ = value;
    } else if (name == "content-length") {
      std::size_t length = 0;
      std::from_chars(value.data(), value.data() + value.size(), length);
      (void)call->body_.prepare(std::min(length, kReserveAtMostBytes));
    } else if (!name.starts_with(':')) {
      call->keep_field(name, value);
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
    IncomingCall* const call = call_of(session, frame->hd.stream_id);
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 || call == nullptr) return 0;
    if (auto node = tunnel.owned_.extract(frame->hd.stream_id)) {
      call->complete_head();
      tunnel.whole_.emplace_back(node.mapped().release());
    }
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
    call->bytes_out_ += length;
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
  if (call.touched_ || (call.wake_ == nullptr && call.room_back_ == nullptr)) return;
  call.touched_ = true;
  touched_.push_back(&call);
}

void AgentTunnel::deliver() noexcept {
  for (IncomingCall* call : touched_) {
    call->touched_ = false;
    if (call->room_back_ != nullptr) call->room_back_->notify();
    if (call->wake_ != nullptr) call->wake_->notify();
  }
  touched_.clear();
  // The handler may write, reset or destroy calls, none of which comes back here: frames are made in collect() alone.
  for (auto& call : std::exchange(whole_, {})) {
    if (call->gone()) continue;
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

// The fields lie one behind the other, so that a head takes three allocations, however many it has.
void IncomingCall::keep_field(std::string_view name, std::string_view value) {
  if (sizes_.empty()) {
    fields_.reserve(kUsualHeadBytes);
    sizes_.reserve(kUsualFields);
  }
  fields_.append(name).append(value);
  sizes_.push_back({static_cast<std::uint32_t>(name.size()), static_cast<std::uint32_t>(value.size())});
}

void IncomingCall::complete_head() {
  head_.method = boost::beast::http::string_to_verb(method_);
  head_.target = target_;
  const std::size_t question = std::min(target_.find('?'), target_.size());
  head_.path = head_.target.substr(0, question);
  head_.query = head_.target.substr(std::min(question + 1, target_.size()));
  head_.fields.reserve(sizes_.size());
  std::string_view rest = fields_;
  for (const FieldSize& size : sizes_) {
    const std::string_view name = rest.substr(0, size.name);
    head_.fields.add({boost::beast::http::string_to_field(name), name, rest.substr(size.name, size.value)});
    rest.remove_prefix(size.name + size.value);
  }
}

Task<Status> IncomingCall::read_body(Buffer& into, std::size_t limit_bytes, Reserve& reserve, net::Deadline) {
  if (body_.size() > limit_bytes) co_return client_error(ErrorKind::kTooLarge, "the request's body is too large");
  if (!reserve.grow(body_.size())) co_return kHoldsTooMuch;
  into.append(body_.view());
  body_.release();
  co_return ok();
}

Task<Status> IncomingCall::respond(unsigned status, std::span<const http::Header> headers, std::string_view body) {
  begin(status, headers);
  append(body);
  co_return co_await finish();
}

void IncomingCall::begin(unsigned status, std::span<const http::Header> headers) noexcept {
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

void IncomingCall::append(std::string_view bytes) noexcept {
  if (tunnel_ == nullptr || bytes.empty()) return;
  out_.append(bytes);
  push();
}

void IncomingCall::push() noexcept {
  resume();
  if (!std::exchange(wrote_, true)) tunnel_->flush_soon();
}

Task<Status> IncomingCall::flush() {
  if (tunnel_ != nullptr && !out_.empty()) push();
  if (tunnel_ != nullptr && room() == 0) co_await await_room();
  if (tunnel_ == nullptr) co_return client_error(ErrorKind::kClosed, "the gateway gave the call up");
  co_return ok();
}

Task<void> IncomingCall::await_room() {
  net::Signal room_back(tunnel_->loop());
  room_back_ = &room_back;
  const std::chrono::milliseconds gap = tunnel_->limits_.answer_gap;
  std::size_t left_bytes = out_.size();
  for (net::Deadline until = net::Deadline::after(gap); tunnel_ != nullptr && room() == 0;) {
    (void)co_await room_back.wait(until);
    if (!until.passed()) continue;
    if (out_.size() == left_bytes) {
      reset(Reset::kBackendLost);
      break;
    }
    left_bytes = out_.size();  // some of it has left
    until = net::Deadline::after(gap);
  }
  room_back_ = nullptr;
}

Task<Status> IncomingCall::finish() {
  if (tunnel_ == nullptr) co_return client_error(ErrorKind::kClosed, "the gateway gave the call up");
  mark_ended();
  co_return ok();
}

void IncomingCall::mark_ended() noexcept {
  ended_ = true;
  wake_ = nullptr;
  body_.release();
  resume();
}

void IncomingCall::finish(IncomingPtr call) noexcept {
  if (call->tunnel_ != nullptr) call->mark_ended();
}

void IncomingCall::break_off(IncomingPtr call, Reset why) noexcept {
  if (call->out_.empty()) return call->reset(why);
  call->breaks_off_ = why;
  finish(std::move(call));
}

void LetGo::operator()(IncomingCall* call) const noexcept {
  std::unique_ptr<IncomingCall> owner(call);
  if (call->ended_ && call->tunnel_ != nullptr) call->tunnel_->owned_.emplace(call->stream_id_, std::move(owner));
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
