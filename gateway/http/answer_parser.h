// Parses one HTTP/1.1 answer from bytes as they come, with Beast's parser; 1xx answers are skipped.
#pragma once

#include <memory>
#include <span>

#include "base/bytes.h"
#include "http/call.h"

namespace sluice::http {

// Thread: any one. No call waits or throws.
class AnswerParser final {
 public:
  enum class Step : std::uint8_t { kMore, kDone, kBad };

  explicit AnswerParser(std::size_t head_bytes);
  ~AnswerParser();

  // Parses the first `size` bytes of `bytes` behind what `rest` keeps from before; body bytes are appended to `body`.
  [[nodiscard]] Step feed(std::span<const char> bytes, std::size_t size, Buffer& rest, Buffer& body) noexcept;
  // The connection has ended: kDone where the answer may end so (RFC 9112, section 6.3), else kBad.
  [[nodiscard]] Step end(Buffer& body) noexcept;

  [[nodiscard]] bool has_head() const noexcept;
  void take_head(AnswerHead& into);
  // Whether the connection may serve another call. REQUIRES: done.
  [[nodiscard]] bool keeps_alive() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::http
