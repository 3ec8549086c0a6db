// A head is copied once, so that it stays while the client is read ahead; a body goes straight into the caller's
// buffer, chunk frames removed in place. Answers are gathered in one buffer, chunk frames written in place, so that
// what belongs together leaves together.
#include "http/server_connection.h"

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <charconv>
#include <cstring>

#include "http/chunk_decoder.h"
#include "http/date.h"
#include "http/field_text.h"
#include "http/request_check.h"

namespace sluice::http {
namespace {

namespace beast_http = boost::beast::http;

constexpr std::size_t kReadBytes = 16u << 10;  // one TLS record
constexpr std::size_t kBodyStepBytes = 64u << 10;
constexpr std::size_t kChunkedStepBytes = 16u << 10;
constexpr std::size_t kSmallRestBytes = 64u << 10;  // of an unread body: cheaper to read than to reconnect
constexpr std::size_t kOneWriteBytes = 16u << 10;
constexpr std::size_t kWriteTurnBytes = 512u << 10;  // to a client that takes and takes, before others have their turn
constexpr std::chrono::milliseconds kLingerTime{2'000};
constexpr std::string_view kChunkFrame = "00000000\r\n";

constexpr Error kGone = {ErrorKind::kClosed, Origin::kClient, Retry::kNo, 0, 0, "the client closed the connection"};
constexpr Error kSlow = {ErrorKind::kTimeout, Origin::kClient, Retry::kNo, 0, 0, "the request did not arrive in time"};

constexpr Error kStuck = {ErrorKind::kClosed, Origin::kClient, Retry::kNo, 0, 0, "the client takes nothing"};
constexpr Error kTooLarge = {
    ErrorKind::kTooLarge, Origin::kClient, Retry::kNo, 0, 0, "the request's body is too large"};

constexpr Error bad(const char* what) noexcept { return client_error(ErrorKind::kBadRequest, what); }

// Shared by all connections of a worker: filled and emptied between two awaits.
std::array<char, kReadBytes>& scratch() noexcept {
  thread_local std::array<char, kReadBytes> bytes;
  return bytes;
}

}  // namespace

struct ServerConnection::State {
  State(std::unique_ptr<net::Stream> stream_, const ConnectionLimits& limits_)
      : stream(std::move(stream_)), limits(limits_), holding(limits_.held) {}

  std::unique_ptr<net::Stream> stream;
  ConnectionLimits limits;
  HeadScan scan;
  ChunkDecoder chunks;
  RequestHead head;                 // from a whole head to the next read_head()
  Buffer head_bytes;                // what `head` points into
  Buffer in;                        // read and not yet used
  Holding holding;                  // of head_bytes and in
  Buffer out;                       // of the answer, not yet sent
  std::size_t chunk_at = kNoChunk;  // where the open chunk's frame stands in `out`
  std::uint64_t body_left = 0;      // of a known length, not read
  std::size_t empty_bytes = 0;      // of empty lines before the head
  std::uint64_t bytes_in = 0, bytes_out = 0;
  bool head_only = false;  // a HEAD request: its answer has no body
  bool keep_alive = true;
  bool body_unread = false;  // a body is announced and was not read to its end
  bool continue_due = false;
  bool chunked_answer = false;
  bool gone = false;

  static constexpr std::size_t kNoChunk = ~std::size_t{0};

  [[nodiscard]] bool count_held() noexcept { return holding.set(head_bytes.size() + in.size()); }
  Task<Result<std::size_t>> fill(net::Deadline deadline);
  Result<bool> parse_head();
  Status take_head(std::string_view bytes);
  Task<Status> drop_rest();
  Task<Result<std::size_t>> read_part(std::span<char> space, net::Deadline until);
  Task<Status> read_known(Buffer& into, Reserve& reserve, net::Deadline until);
  Task<Status> read_chunked(Buffer& into, std::size_t limit, Reserve& reserve, net::Deadline until);
  Task<Status> write_all(std::string_view bytes);
  Task<Status> write_out();
  Task<void> linger();
  void put_head(unsigned status, std::span<const Header> headers);
  void close_chunk() noexcept;
  [[nodiscard]] bool chunk_is_empty() const noexcept;
  void drop_chunk() noexcept;
  void settle_reuse() noexcept;
};

ServerConnection::ServerConnection(std::unique_ptr<net::Stream> stream, const ConnectionLimits& limits)
    : state_(std::make_unique<State>(std::move(stream), limits)) {}
ServerConnection::~ServerConnection() = default;

// Appends to `in` what can be read, waiting for it if need be. 0: the client ended its side.
Task<Result<std::size_t>> ServerConnection::State::fill(net::Deadline deadline) {
  for (;;) {
    const Result<std::size_t> read = stream->try_read(scratch());
    if (read) {
      in.append({scratch().data(), *read});
      wipe(scratch().data(), *read);
      if (!count_held()) co_return kHoldsTooMuch;
      co_return *read;
    }
    if (read.error().kind != ErrorKind::kWouldBlock) co_return kGone;
    const Status readable = co_await stream->wait_readable(deadline);
    if (!readable) co_return readable.error().kind == ErrorKind::kTimeout ? kSlow : kGone;
  }
}

Task<Result<const RequestHead*>> ServerConnection::read_head() {
  State& s = *state_;
  SLUICE_CO_TRY(co_await s.drop_rest());
  s.head = {};
  s.head_bytes.release();
  s.out.release();
  s.bytes_in = 0;
  s.bytes_out = 0;
  if (s.gone && s.in.empty()) co_return kGone;
  if (s.in.empty()) {
    s.in.release();
    (void)s.count_held();
    const Result<std::size_t> first = co_await s.fill(net::Deadline::after(s.limits.idle_time));
    if (!first && first.error().kind == ErrorKind::kOverloaded) co_return first.error();
    if (!first || *first == 0) co_return kGone;  // an idle connection that ends needs no answer
  }
  s.keep_alive = false;  // until a head says otherwise: an answer to a bad one closes
  s.head_only = false;
  s.scan = {};
  s.empty_bytes = 0;
  const net::Deadline deadline = net::Deadline::after(s.limits.head_time);
  for (;;) {
    const Result<bool> whole = s.parse_head();
    if (!whole) co_return whole.error();
    if (*whole) co_return &s.head;
    if (deadline.passed()) co_return kSlow;
    const Result<std::size_t> more = co_await s.fill(deadline);
    if (!more) co_return more.error();
    if (*more == 0) co_return kGone;
  }
}

// Whether the head is whole, and then taken out of `in`.
Result<bool> ServerConnection::State::parse_head() {
  // Empty lines before a request line: some old clients send one behind a body (RFC 9112, 2.2).
  // They are part of what a head may be long.
  while (in.view().starts_with("\r\n")) {
    in.consume(2);
    empty_bytes += 2;
  }
  const bool may_be_empty = in.view() == "\r";
  const HeadScan::Found found = may_be_empty ? HeadScan::Found::kMore : scan.scan(in.view());
  const std::size_t size = found == HeadScan::Found::kWhole ? scan.size_bytes() : in.size();
  if (empty_bytes + size > limits.head_bytes) {
    return client_error(ErrorKind::kHeadTooLarge, "the request's headers are too large");
  }
  if (found == HeadScan::Found::kBad) return bad("the request is not valid HTTP/1.1");
  if (found == HeadScan::Found::kMore) return false;
  SLUICE_TRY(take_head(in.view().substr(0, size)));
  in.consume(size);
  (void)count_held();
  bytes_in += size;
  return true;
}

Status ServerConnection::State::take_head(std::string_view bytes) {
  head_bytes.append(bytes);
  SLUICE_TRY(http::parse_head(head_bytes.view(), head));
  keep_alive = head.keep_alive;
  head_only = head.method == Verb::head;
  body_left = head.content_length.value_or(0);
  body_unread = head.has_body;
  continue_due = head.expects_continue && head.has_body;
  chunks = {};
  return ok();
}

// The rest of a body that nobody wanted, where settle_reuse() found that reading it is worth it.
Task<Status> ServerConnection::State::drop_rest() {
  while (body_unread && body_left != 0) {
    if (in.empty()) {
      const Result<std::size_t> more = co_await fill(net::Deadline::after(limits.body_gap));
      if (!more || *more == 0) co_return kGone;
    }
    const std::size_t dropped = std::min<std::uint64_t>(body_left, in.size());
    in.consume(dropped);
    body_left -= dropped;
  }
  body_unread = false;
  co_return ok();
}

Task<Status> ServerConnection::read_body(Buffer& into, std::size_t limit_bytes, Reserve& reserve, net::Deadline until) {
  State& s = *state_;
  if (!s.body_unread) co_return ok();
  if (s.head.content_length.value_or(0) > limit_bytes) co_return kTooLarge;
  if (std::exchange(s.continue_due, false)) {
    const net::Deadline deadline = net::Deadline::after(s.limits.write_gap);
    SLUICE_CO_TRY(co_await s.stream->write("HTTP/1.1 100 Continue\r\n\r\n", deadline));
  }
  const Status read = s.head.content_length ? co_await s.read_known(into, reserve, until)
                                            : co_await s.read_chunked(into, limit_bytes, reserve, until);
  if (read) s.body_unread = false;
  if (s.in.empty()) s.in.release();
  (void)s.count_held();
  co_return read;
}

// What comes of a body within its gap and before `until`. Never 0.
Task<Result<std::size_t>> ServerConnection::State::read_part(std::span<char> space, net::Deadline until) {
  const net::Deadline gap = net::Deadline::after(limits.body_gap);
  const Result<std::size_t> read = co_await stream->read_some(space, {std::min(gap.at, until.at)});
  if (!read) co_return read.error().kind == ErrorKind::kTimeout ? kSlow : kGone;
  if (*read == 0) co_return kGone;
  co_return read;
}

Task<Status> ServerConnection::State::read_known(Buffer& into, Reserve& reserve, net::Deadline until) {
  std::size_t granted = std::min<std::uint64_t>(body_left, in.size());
  if (!reserve.grow(granted)) co_return kHoldsTooMuch;
  into.append(in.view().substr(0, granted));
  in.consume(granted);
  body_left -= granted;
  bytes_in += granted;
  granted = 0;
  while (body_left != 0) {
    // Grown as bytes come, not as they are announced: an announcement costs its sender nothing.
    const std::size_t step = std::min<std::uint64_t>(body_left, std::max(kBodyStepBytes, into.size()));
    if (step > granted && !reserve.grow(step - std::exchange(granted, step))) co_return kHoldsTooMuch;
    const std::span<char> space = into.prepare(step);
    const Result<std::size_t> read = co_await read_part(space, until);
    if (!read) co_return read.error();
    into.commit(*read);
    bytes_in += *read;
    body_left -= *read;
    granted -= *read;
  }
  co_return ok();
}

// Chunks are read behind what `into` holds and lose their frames there.
Task<Status> ServerConnection::State::read_chunked(Buffer& into, std::size_t limit, Reserve& reserve,
                                                   net::Deadline until) {
  std::size_t taken = 0;
  std::size_t granted = 0;
  for (;;) {
    const std::size_t step = in.empty() ? std::max(kChunkedStepBytes, into.size()) : in.size();
    if (step > granted && !reserve.grow(step - std::exchange(granted, step))) co_return kHoldsTooMuch;
    const std::span<char> space = into.prepare(step);
    std::size_t got = step;
    if (in.empty()) {
      const Result<std::size_t> read = co_await read_part(space, until);
      if (!read) co_return read.error();
      got = *read;
    } else {
      std::memcpy(space.data(), in.data(), step);
      in.clear();
    }
    const ChunkDecoder::Out out = chunks.decode(space.data(), got);
    if (out.used != got) in.append({space.data() + out.used, got - out.used});
    wipe(space.data() + out.payload, got - out.payload);
    into.commit(out.payload);
    taken += out.payload;
    granted -= out.payload;
    bytes_in += out.used;
    if (out.step == ChunkDecoder::Step::kBad) co_return bad("the request's chunks are not valid");
    if (taken > limit || chunks.payload_under_way() > limit - taken) co_return kTooLarge;
    if (out.step == ChunkDecoder::Step::kDone) co_return ok();
  }
}

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
  const bool one_write = s.out.size() + body.size() <= kOneWriteBytes;
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

void ServerConnection::watch_client(net::Signal* wake) noexcept { state_->stream->watch_readable(wake); }

bool ServerConnection::gone() noexcept {
  State& s = *state_;
  while (!s.gone && s.in.size() < s.limits.read_ahead_bytes) {
    const Result<std::size_t> read = s.stream->try_read(scratch());
    if (!read && read.error().kind == ErrorKind::kWouldBlock) return false;
    if (!read || *read == 0) {
      s.gone = true;
      s.keep_alive = false;
      break;
    }
    s.in.append({scratch().data(), *read});
    wipe(scratch().data(), *read);
    if (!s.count_held()) break;  // no more is read ahead; the end of the client is then seen by the next write
  }
  return s.gone;
}

void ServerConnection::close_after_answer() noexcept { state_->keep_alive = false; }
bool ServerConnection::keeps_alive() const noexcept { return state_->keep_alive && state_->stream->is_open(); }
net::Stream& ServerConnection::stream() noexcept { return *state_->stream; }
std::chrono::milliseconds ServerConnection::head_time() const noexcept { return state_->limits.head_time; }
std::uint64_t ServerConnection::bytes_in() const noexcept { return state_->bytes_in; }
std::uint64_t ServerConnection::bytes_out() const noexcept { return state_->bytes_out; }

}  // namespace sluice::http
