// Header blocks of a tunnel's streams, and what its reset codes mean.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/call.h"

namespace sluice::tunnel {

inline constexpr std::size_t kFrameHeadBytes = 9;

struct CallbacksDeleter {
  void operator()(nghttp2_session_callbacks* callbacks) const noexcept { nghttp2_session_callbacks_del(callbacks); }
};
using CallbacksPtr = std::unique_ptr<nghttp2_session_callbacks, CallbacksDeleter>;
[[nodiscard]] CallbacksPtr make_callbacks() noexcept;
// What both roles are told of, each by the functions of its own class.
template <class Role>
[[nodiscard]] CallbacksPtr make_callbacks() noexcept {
  CallbacksPtr callbacks = make_callbacks();
  nghttp2_session_callbacks_set_on_header_callback(callbacks.get(), &Role::on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks.get(), &Role::on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks.get(), &Role::on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks.get(), &Role::on_stream_close);
  nghttp2_session_callbacks_set_send_data_callback(callbacks.get(), &Role::send_body);
  return callbacks;
}

// Name-value pairs as nghttp2 takes them. It copies what it is given.
// Lifetime: what was added stays valid until the block has been submitted.
class HeaderBlock final {
 public:
  void add(std::string_view name, std::string_view value);
  [[nodiscard]] const nghttp2_nv* data() const noexcept { return overflow_.empty() ? few_.data() : overflow_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return overflow_.empty() ? count_ : overflow_.size(); }

 private:
  std::array<nghttp2_nv, 24> few_;  // NOLINT: count_ says how many are set
  std::size_t count_ = 0;
  std::vector<nghttp2_nv> overflow_;
};

// Puts one field of an answer's head where it belongs; hop-by-hop fields, Set-Cookie and what is not on the allow list
// are dropped.
void keep_answer_header(http::AnswerHead& head, std::string_view name, std::string_view value);

// What RST_STREAM with `code` says about a call. REFUSED_STREAM: the agent did nothing, another one may be tried.
[[nodiscard]] Error error_of_reset(std::uint32_t code, Retry if_unknown) noexcept;

}  // namespace sluice::tunnel
