// Parses one HTTP/1.1 answer from bytes as they come. 1xx answers are skipped.
//
// As strict as request_check: an answer whose end could be seen in two places would hand its tail to the next caller of
// a pooled connection. The head is read here line by line rather than by Beast, because three of its fields matter.
#pragma once

#include <chrono>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "http/call.h"
#include "http/h1/chunk_decoder.h"
#include "http/h1/request_check.h"

namespace sluice::http::h1 {

// Thread: any one. No call waits or throws.
class AnswerParser final {
 public:
  enum class Step : std::uint8_t { kMore, kDone, kBad };

  explicit AnswerParser(std::size_t head_bytes) noexcept : head_limit_(head_bytes) {}

  // Takes bytes (which it may change: framing is removed in place) and appends what is body to `body`.
  [[nodiscard]] Step feed(std::span<char> bytes, Buffer& body);
  // The connection has ended, cleanly or cut off: kDone where the answer may end so (RFC 9112, 6.3), else kBad.
  enum class End : std::uint8_t { kClean, kTruncated };
  [[nodiscard]] Step end(End how) const noexcept;

  // Whether any byte of an answer has come.
  [[nodiscard]] bool began() const noexcept { return began_; }
  // Whether the first bytes of it, if any came, are those of HTTP/1.
  [[nodiscard]] bool is_http() const noexcept { return is_http_; }
  [[nodiscard]] bool has_head() const noexcept { return stage_ != Stage::kHead && stage_ != Stage::kBad; }
  // REQUIRES: has_head(). Valid once.
  void take_head(AnswerHead& into) noexcept { into = std::move(answer_); }
  // Whether the connection may serve another call. REQUIRES: done.
  [[nodiscard]] bool keeps_alive() const noexcept { return keep_alive_ && !extra_; }
  // How long the server says that it keeps an idle connection (Keep-Alive: timeout=N). Nothing: it does not say.
  [[nodiscard]] std::optional<std::chrono::seconds> idle_time() const noexcept { return idle_time_; }

 private:
  enum class Stage : std::uint8_t { kHead, kLength, kChunks, kUntilClose, kDone, kBad };
  struct Fields;
  Step read_head(std::string_view bytes, std::size_t& used);
  Stage begin_body(const Fields& fields) noexcept;
  Step take_body(std::span<char> bytes, Buffer& body);
  bool read_status_line(std::string_view line) noexcept;
  bool read_field(std::string_view line, Fields& fields);
  Stage read_lines(std::string_view head);

  std::size_t head_limit_;
  Stage stage_ = Stage::kHead;
  bool began_ = false;
  bool is_http_ = true;
  bool http_1_0_ = false;
  bool keep_alive_ = false;
  std::optional<std::chrono::seconds> idle_time_;
  bool extra_ = false;  // bytes behind the answer: whose they are, nobody knows
  HeadScan scan_;
  ChunkDecoder chunks_;
  std::uint64_t left_ = 0;  // of a body of known length
  Buffer head_;             // a head that came in pieces
  AnswerHead answer_;
};

}  // namespace sluice::http::h1
