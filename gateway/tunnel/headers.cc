#include "tunnel/headers.h"

#include <algorithm>
#include <charconv>

#include "http/kept_headers.h"

namespace sluice::tunnel {
namespace {

std::uint8_t* bytes_of(std::string_view text) noexcept {
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));  // NOLINT: nghttp2 does not write there
}

template <class Number>
bool parse(std::string_view text, Number& number) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

CallbacksPtr make_callbacks() noexcept {
  nghttp2_session_callbacks* callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) std::abort();  // out of memory
  return CallbacksPtr(callbacks);
}

void HeaderBlock::add(std::string_view name, std::string_view value) {
  // A value that comes once would only push others out of HPACK's table, which is dear to fill on both ends.
  const bool repeats = std::ranges::find(http::kOneTimeHeaders, name) == http::kOneTimeHeaders.end();
  const std::uint8_t flags = repeats ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX;
  const nghttp2_nv pair{bytes_of(name), bytes_of(value), name.size(), value.size(), flags};
  if (overflow_.empty() && count_ < few_.size()) {
    few_[count_++] = pair;
    return;
  }
  if (overflow_.empty()) overflow_.assign(few_.begin(), few_.end());
  overflow_.push_back(pair);
}

void keep_answer_header(http::AnswerHead& head, std::string_view name, std::string_view value) {
  if (name == ":status") {
    parse(value, head.status);
  } else if (name == "content-type") {
    head.content_type = value;
  } else if (name == "content-encoding") {
    head.content_encoding = value == "identity" ? std::string_view{} : value;
  } else if (name == "retry-after") {
    head.retry_after = value;
  } else if (name == "content-length") {
    if (std::uint64_t length = 0; parse(value, length)) head.content_length = length;
  } else if (std::ranges::find(http::kKeptHeaders, name) != http::kKeptHeaders.end()) {
    head.others.emplace_back(name, value);
  }
}

Error error_of_reset(std::uint32_t code, Retry if_unknown) noexcept {
  switch (code) {
    case NGHTTP2_REFUSED_STREAM:
      return upstream_error(ErrorKind::kRefused, "the agent refused the call", Retry::kYes);
    case NGHTTP2_ENHANCE_YOUR_CALM:
      return upstream_error(ErrorKind::kOverloaded, "the agent has no room", Retry::kYes);
    case NGHTTP2_CONNECT_ERROR:
      return upstream_error(ErrorKind::kUpstream, "the agent lost its model server", if_unknown);
    case NGHTTP2_NO_ERROR:
    case NGHTTP2_CANCEL:
      return upstream_error(ErrorKind::kClosed, "the agent ended the call early", if_unknown);
    default:
      return upstream_error(ErrorKind::kClosed, "the tunnel broke", if_unknown);
  }
}

}  // namespace sluice::tunnel
