// A head is copied once, so that it stays while the client is read ahead.
#include "http/h1/server_connection.h"

#include "http/h1/server_state.h"

namespace sluice::http::h1 {

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
  if (found == HeadScan::Found::kBad) return bad_request("the request is not valid HTTP/1.1");
  if (found == HeadScan::Found::kMore) return false;
  SLUICE_TRY(take_head(in.view().substr(0, size)));
  in.consume(size);
  (void)count_held();
  bytes_in += size;
  return true;
}

Status ServerConnection::State::take_head(std::string_view bytes) {
  head_bytes.append(bytes);
  SLUICE_TRY(h1::parse_head(head_bytes.view(), head));
  keep_alive = head.keep_alive;
  head_only = head.method == Verb::head;
  body_left = head.content_length.value_or(0);
  body_unread = head.has_body;
  continue_due = head.expects_continue && head.has_body;
  chunks = {};
  return ok();
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
    if (!s.count_held()) break;  // [http] buffered_limit is reached: no more in this look
  }
  return s.gone;
}

void ServerConnection::abort() noexcept { state_->stream->abort(); }
void ServerConnection::close_after_answer() noexcept { state_->keep_alive = false; }
bool ServerConnection::keeps_alive() const noexcept { return state_->keep_alive && state_->stream->is_open(); }
const RequestHead& ServerConnection::head() const noexcept { return state_->head; }
net::Stream& ServerConnection::stream() noexcept { return *state_->stream; }
std::chrono::milliseconds ServerConnection::head_time() const noexcept { return state_->limits.head_time; }
std::uint64_t ServerConnection::bytes_in() const noexcept { return state_->bytes_in; }
std::uint64_t ServerConnection::bytes_out() const noexcept { return state_->bytes_out; }

}  // namespace sluice::http::h1
