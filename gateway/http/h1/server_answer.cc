// Answers are gathered in one buffer, chunk frames written in place, so that what belongs together leaves together.
#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "http/date.h"
#include "http/field_text.h"
#include "http/h1/server_state.h"

namespace sluice::http::h1 {
namespace {

namespace beast_http = boost::beast::http;

constexpr std::size_t kOneRecordBytes = 16u << 10;
constexpr std::size_t kWriteTurnBytes = 512u << 10;  // to a client that takes and takes, before others have their turn
constexpr std::chrono::milliseconds kLingerTime{2'000};
constexpr std::string_view kChunkFrame = "00000000\r\n";

constexpr Error kStuck = {ErrorKind::kClosed, Origin::kClient, Retry::kNo, 0, 0, "the client takes nothing"};

}  // namespace

// Whether the connection can serve another request after this answer; decided once its head is written.
void ServerConnection::State::settle_reuse() noexcept {
  if (!body_unread) return;
  const bool cheap = head.content_length && body_left <= kSmallRestBytes && !continue_due && !gone;
  if (!cheap) keep_alive = false;
}

void ServerConnection::State::put_head(unsigned status, std::span<const Header> headers) {
  char line[16];
  out.append(head.http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ");
  out.append({line, static_cast<std::size_t>(std::to_chars(line, line + sizeof line, status).ptr - line)});
  out.append(" ");
  const auto reason = beast_http::obsolete_reason(static_cast<beast_http::status>(status));
  out.append({reason.data(), reason.size()});
  out.append("\r\n");
  for (const Header& header : headers) {
    // A line end inside a value would end the header field: whoever sent it upstream does not write our answer.
    if (!is_token(header.name) || !is_field_value(header.value)) continue;
    out.append(header.name);
    out.append(": ");
    out.append(header.value);
    out.append("\r\n");
  }
  out.append("date: ");
  out.append(http_date());
  out.append("\r\n");
  if (!keep_alive) {
    out.append("connection: close\r\n");
  } else if (head.http_1_0) {
    out.append("connection: keep-alive\r\n");
  }
}

Task<Status> ServerConnection::respond(unsigned status, std::span<const Header> headers, std::string_view body) {
  State& s = *state_;
  s.settle_reuse();
  s.put_head(status, headers);
  if (status != 204 && status != 304) {
    char digits[24];
    s.out.append("content-length: ");
    s.out.append(
        {digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, body.size()).ptr - digits)});
    s.out.append("\r\n");
  }
  s.out.append("\r\n");
  if (s.head_only || status == 204 || status == 304) body = {};
  const bool one_write = s.out.size() + body.size() <= kOneRecordBytes;
  if (one_write) s.out.append(body);
  SLUICE_CO_TRY(co_await s.write_out());
  if (!one_write) SLUICE_CO_TRY(co_await s.write_all(body));
  if (!s.keep_alive && s.body_unread) co_await s.linger();
  co_return ok();
}

void ServerConnection::begin(unsigned status, std::span<const Header> headers) {
  State& s = *state_;
  s.settle_reuse();
  s.chunked_answer = !s.head.http_1_0;
  if (!s.chunked_answer) s.keep_alive = false;
  s.put_head(status, headers);
  s.out.append(s.chunked_answer ? "transfer-encoding: chunked\r\n\r\n" : "\r\n");
}

void ServerConnection::append(std::string_view bytes) {
  if (!bytes.empty() && !state_->head_only) chunk().append(bytes);
}

Buffer& ServerConnection::chunk() {
  State& s = *state_;
  if (s.chunked_answer && s.chunk_at == State::kNoChunk) {
    s.chunk_at = s.out.size();
    s.out.append(kChunkFrame);
  }
  return s.out;
}

// Writes the open chunk's size into its frame; leading zeros are part of the grammar (RFC 9112, section 7.1).
void ServerConnection::State::close_chunk() noexcept {
  if (chunk_at == kNoChunk) return;
  if (chunk_is_empty()) return drop_chunk();
  std::size_t size = out.size() - chunk_at - kChunkFrame.size();
  char* const frame = out.data() + chunk_at;
  for (std::size_t digit = 8; digit-- != 0; size >>= 4) frame[digit] = "0123456789abcdef"[size & 15];
  out.append("\r\n");
  chunk_at = kNoChunk;
}

// An empty chunk would end the answer.
bool ServerConnection::State::chunk_is_empty() const noexcept {
  return chunk_at != kNoChunk && out.size() == chunk_at + kChunkFrame.size();
}

void ServerConnection::State::drop_chunk() noexcept {
  out.truncate(chunk_at);
  chunk_at = kNoChunk;
}

std::size_t ServerConnection::pending_bytes() const noexcept {
  return state_->chunk_is_empty() ? state_->chunk_at : state_->out.size();
}

// Writes as long as the client takes something every write_gap, however long it takes in all.
Task<Status> ServerConnection::State::write_all(std::string_view bytes) {
  std::size_t turn_left = kWriteTurnBytes;
  while (!bytes.empty()) {
    if (turn_left == 0) {
      co_await stream->loop().yield();
      turn_left = kWriteTurnBytes;
    }
    const Result<std::size_t> written = stream->try_write(bytes);
    if (written) {
      bytes.remove_prefix(*written);
      bytes_out += *written;
      turn_left -= std::min(turn_left, *written);
      continue;
    }
    Error why = written.error();
    if (why.kind == ErrorKind::kWouldBlock) {
      const Status writable = co_await stream->wait_writable(net::Deadline::after(limits.write_gap));
      if (writable) continue;
      why = writable.error();
    }
    gone = true;
    keep_alive = false;
    co_return why.kind == ErrorKind::kTimeout ? kStuck : kGone;
  }
  co_return ok();
}

Task<Status> ServerConnection::State::write_out() {
  const Status written = co_await write_all(out.view());
  out.release();  // a stream spends its life between two events
  co_return written;
}

Task<Status> ServerConnection::flush() {
  state_->close_chunk();
  co_return co_await state_->write_out();
}

Task<Status> ServerConnection::finish() {
  State& s = *state_;
  s.close_chunk();
  if (s.chunked_answer && !s.head_only) s.out.append("0\r\n\r\n");
  s.chunked_answer = false;
  const Status written = co_await s.write_out();
  if (written && !s.keep_alive && s.body_unread) co_await s.linger();
  co_return written;
}

// Reads on for a moment after the last answer: closing on unread bytes would send a reset, and the reset may overtake
// the answer.
Task<void> ServerConnection::State::linger() {
  stream->end_writing();
  const net::Deadline deadline = net::Deadline::after(kLingerTime);
  do {
    const Result<std::size_t> more = co_await stream->read_some(scratch(), deadline);
    if (!more || *more == 0) co_return;
    wipe(scratch().data(), *more);
  } while (!deadline.passed());
}

}  // namespace sluice::http::h1
