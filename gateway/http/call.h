// One HTTP request going out and its answer coming in, whatever carries it: an HTTP/2 stream of a tunnel or an HTTP/1.1
// connection. The receiver owns the pace: it looks at what has arrived, takes it, and sleeps on its own signal.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "net/signal.h"

namespace sluice::http {

struct Header {
  std::string_view name;  // lower case
  std::string_view value;
};

// Lifetime: everything that it points to outlives the OutgoingCall made from it, or the time that it holds_request().
struct OutgoingRequest {
  std::string_view method;                 // "POST"
  std::string_view path;                   // "/v1/chat/completions", with its query if any
  std::span<const Header> headers;         // without host, content-length and hop-by-hop ones: the carrier adds its own
  std::span<const std::string_view> body;  // parts, sent one after another; known whole, so the length is sent
};

// What is kept of an answer's head: no hop-by-hop field, no Set-Cookie.
struct AnswerHead {
  std::uint16_t status = 0;
  std::string content_type;
  std::string content_encoding;  // empty: identity
  std::string retry_after;
  std::vector<std::pair<std::string, std::string>> others;  // lower-case name, value; only names on the allow list
  std::optional<std::uint64_t> content_length;
};

enum class CallState : std::uint8_t {
  kRunning,  // more may come
  kEnded,    // the answer is whole: body() holds what has not been taken
  kFailed,   // error() says why; body() may still hold bytes that arrived before
};

// One call under way. `wake` (given at the start) is notified after each change: head, bytes, end, failure.
// Thread:   the worker that started it.
// Lifetime: the signal outlives it; the request, as long as it holds_request().
// Cancel:   destruction: the other side sees RST_STREAM or a closed connection at once.
class OutgoingCall {
 public:
  virtual ~OutgoingCall() = default;
  [[nodiscard]] virtual CallState state() const noexcept = 0;
  // Null until the head is complete (1xx are skipped).
  [[nodiscard]] virtual const AnswerHead* head() const noexcept = 0;
  // Body bytes that have arrived, in order, framing removed. The caller consumes them, then says so with taken().
  [[nodiscard]] virtual Buffer& body() noexcept = 0;
  // `size_bytes` of body have gone on to the next hop: the sender may send as many more.
  virtual void taken(std::size_t size_bytes) noexcept = 0;
  // What the request points to is still to be sent. False once it has left, and never true again.
  [[nodiscard]] virtual bool holds_request() const noexcept = 0;
  // REQUIRES: state() == kFailed. Retry yes: nothing was sent, or it was refused before any work (REFUSED_STREAM).
  [[nodiscard]] virtual Error error() const noexcept = 0;
};

}  // namespace sluice::http
