// One coroutine drives each call: connection, request, head, body. It shares its Progress with the OutgoingCall that
// the caller holds, and stops as soon as that is gone.
#include "http/h1/client_pool.h"

#include <algorithm>
#include <charconv>

#include "http/field_text.h"
#include "http/h1/answer_parser.h"

namespace sluice::http::h1 {
namespace {

constexpr std::size_t kReadAtOnceBytes = 64u << 10;
constexpr std::size_t kOneWriteBytes = 16u << 10;  // one TLS record
constexpr std::chrono::seconds kSweepInterval{1};

constexpr Error kGivenUp = {
    ErrorKind::kClosed, Origin::kUpstream, Retry::kNo, 0, 0, "the model server closed the connection unanswered"};
constexpr Error kBrokeOff = {
    ErrorKind::kProtocol, Origin::kUpstream, Retry::kNo, 0, 0, "the model server broke off its answer"};

struct Idle {
  std::unique_ptr<net::Stream> stream;
  MonoTime since;
  MonoTime until;
};

// The server's clock began when its last byte left, ours when that was read: long after, where this thread did not get
// to run. One that is used again soon has time enough, and its kernel is not asked.
bool was_read_late(const Idle& connection, MonoTime now) noexcept {
  const MonoTime::duration kept = connection.until - connection.since;
  if (now - connection.since < kept / 4) return false;
  const std::optional<std::chrono::milliseconds> age = connection.stream->last_arrival_age();
  return age && *age >= kept;
}

// What the driving coroutine and the call share.
struct Progress {
  Progress(net::Loop& loop, const OutgoingRequest& request_, net::Signal& wake_, HeldBytes* held)
      : request(request_), wake(&wake_), room(loop), holding(held) {}

  void changed() noexcept {
    if (wake != nullptr) wake->notify();
  }
  void fail(Error why) noexcept {
    error = why;
    state = CallState::kFailed;
    changed();
  }
  [[nodiscard]] bool abandoned() const noexcept { return wake == nullptr; }

  OutgoingRequest request;  // not to be touched once abandoned
  net::Signal* wake;        // null: the caller has gone
  net::Signal room;         // body was taken, or the caller has gone
  net::Stream* stream = nullptr;
  CallState state = CallState::kRunning;
  bool has_head = false;
  AnswerHead head;
  Buffer body;
  Holding holding;                           // of body
  std::size_t untaken = 0;                   // arrived and not said to be taken
  MonoTime stalled_since = MonoTime::max();  // what is read now may have come at any time since; max(): it is fresh
  Error error;
};

}  // namespace

// Closes idle connections at the end of their time, and looks once a second for those that the server ended.
struct ClientPool::State final : private net::Alarm {
  State(net::Loop& loop_, net::TaskGroup& tasks_, ClientPoolOptions options_)
      : Alarm(loop_.wheel()), loop(loop_), tasks(tasks_), options(std::move(options_)), dialer(loop, tasks, options) {}

  net::Loop& loop;
  net::TaskGroup& tasks;
  ClientPoolOptions options;
  Dialer dialer;
  std::list<Idle> idle;    // the last used first
  std::size_t in_use = 0;  // connections that carry a call
  bool closed = false;
  std::array<char, kReadAtOnceBytes> scratch;  // filled and emptied between two awaits

  std::unique_ptr<net::Stream> take_idle() noexcept;
  void give_back(std::unique_ptr<net::Stream> stream, MonoTime until);
  [[nodiscard]] MonoTime idle_until(const AnswerParser& parser, const Progress& progress) const noexcept;
  void write_head(const OutgoingRequest& request, Buffer& into) const;
  Task<Status> send(net::Stream& stream, Progress& progress);
  Task<Status> receive(net::Stream& stream, Progress& progress, AnswerParser& parser, net::Deadline head_deadline);
  [[nodiscard]] bool usable(const Idle& connection) noexcept;

 private:
  void expired() noexcept override;
  void sweep_by(MonoTime latest) noexcept;

  MonoTime sweep_at;  // while armed
};

namespace {

class PooledCall final : public OutgoingCall {
 public:
  explicit PooledCall(std::shared_ptr<Progress> progress) noexcept : progress_(std::move(progress)) {}
  ~PooledCall() override {
    progress_->wake = nullptr;
    progress_->room.notify();
    // Closed here and now, so that the model server stops at once; the coroutine finds out when it next runs.
    if (progress_->stream != nullptr && progress_->state == CallState::kRunning) progress_->stream->close();
  }
  [[nodiscard]] CallState state() const noexcept override { return progress_->state; }
  [[nodiscard]] const AnswerHead* head() const noexcept override {
    return progress_->has_head ? &progress_->head : nullptr;
  }
  [[nodiscard]] Buffer& body() noexcept override { return progress_->body; }
  void taken(std::size_t size_bytes) noexcept override {
    (void)progress_->holding.set(progress_->body.size());
    progress_->untaken -= std::min(progress_->untaken, size_bytes);
    progress_->room.notify();
  }
  // Sent whole, or given up, before an answer is read; retried only while none has begun.
  [[nodiscard]] bool holds_request() const noexcept override { return !progress_->has_head; }
  [[nodiscard]] Error error() const noexcept override { return progress_->error; }

 private:
  std::shared_ptr<Progress> progress_;  // shared: the coroutine ends a turn after the call
};

enum class Tried : std::uint8_t { kEnded, kFailed, kStale };
enum class Connection : std::uint8_t { kNew, kPooled };

// Whether the server gave up a pooled connection without a byte of a request that was `written` whole, before which
// `sent_before` bytes had been sent. Only where the connection ended with a FIN, and TCP says that none of the request
// was acknowledged; all that went before it was, because it was answered. Never after a reset: a server that crashed
// over the request looks the same.
bool was_untouched(net::Stream& stream, std::uint64_t sent_before, const Error& error) noexcept {
  return error.kind == kGivenUp.kind && sent_before != 0 && stream.acknowledged_bytes() == sent_before;
}

// One attempt on one connection. kStale: it had been closed before the server had the whole request, or any of it, so
// that the server cannot have begun with it.
Task<Tried> attempt(ClientPool::State& pool, std::unique_ptr<net::Stream> stream, Progress& progress,
                    net::Deadline head_deadline, Connection connection) {
  progress.stream = stream.get();
  ++pool.in_use;
  AnswerParser parser(pool.options.head_bytes);
  const std::uint64_t sent_before = stream->sent_bytes();
  const Status sent = co_await pool.send(*stream, progress);
  Status done = sent;
  // A server may answer and close before it has read the whole request: its answer counts.
  if (sent || sent.error().kind == ErrorKind::kClosed)
    done = co_await pool.receive(*stream, progress, parser, head_deadline);
  progress.stream = nullptr;
  --pool.in_use;
  if (done) {
    if (sent && parser.keeps_alive() && !progress.abandoned()) {
      pool.give_back(std::move(stream), pool.idle_until(parser, progress));
    } else {
      stream->close();
    }
    co_return Tried::kEnded;
  }
  const bool untouched =
      sent && !parser.began() && connection == Connection::kPooled && was_untouched(*stream, sent_before, done.error());
  stream->close();
  if (untouched || (!sent && !parser.began())) {
    progress.error = untouched ? done.error() : sent.error();
    co_return Tried::kStale;
  }
  progress.error = done.error();
  co_return Tried::kFailed;
}

// Drives one call to its end. Everything that it needs is in its own frame.
Task<void> drive(std::shared_ptr<ClientPool::State> pool, std::shared_ptr<Progress> progress,
                 net::Deadline head_deadline) {
  for (Connection connection = Connection::kPooled;; connection = Connection::kNew) {
    if (progress->abandoned()) co_return;
    std::unique_ptr<net::Stream> stream;
    if (connection == Connection::kPooled) stream = pool->take_idle();
    if (!stream) {
      connection = Connection::kNew;
      Result<std::unique_ptr<net::Stream>> connected = co_await pool->dialer.dial();
      if (!connected) co_return progress->fail(connected.error());
      stream = std::move(*connected);
    }
    if (progress->abandoned()) co_return stream->close();
    const Tried tried = co_await attempt(*pool, std::move(stream), *progress, head_deadline, connection);
    // Whatever else is pooled may be as stale: once more, and on a new connection.
    if (tried == Tried::kStale && connection == Connection::kPooled) continue;
    if (tried != Tried::kEnded) co_return progress->fail(progress->error);
    progress->state = CallState::kEnded;
    co_return progress->changed();
  }
}

}  // namespace

ClientPool::ClientPool(net::Loop& loop, net::TaskGroup& tasks, ClientPoolOptions options)
    : state_(std::make_shared<State>(loop, tasks, std::move(options))) {}

ClientPool::~ClientPool() {
  state_->closed = true;
  state_->idle.clear();
}

std::unique_ptr<OutgoingCall> ClientPool::start(const OutgoingRequest& request, net::Signal& wake,
                                                net::Deadline head_deadline) noexcept {
  auto progress = std::make_shared<Progress>(state_->loop, request, wake, state_->options.held);
  state_->tasks.spawn(drive(state_, progress, head_deadline));
  return std::make_unique<PooledCall>(std::move(progress));
}

bool ClientPool::in_touch() noexcept {
  return state_->in_use != 0 ||
         std::ranges::any_of(state_->idle, [this](const Idle& connection) { return state_->usable(connection); });
}

bool ClientPool::State::usable(const Idle& connection) noexcept {
  const MonoTime now = Mono::now();
  return now < connection.until && connection.stream->is_quiet() && !was_read_late(connection, now);
}

// The server's clock began with its last byte: a good while before now, where we did not read for a while.
MonoTime ClientPool::State::idle_until(const AnswerParser& parser, const Progress& progress) const noexcept {
  std::chrono::milliseconds time = options.idle_time;
  if (parser.idle_time()) {
    const std::chrono::milliseconds told = *parser.idle_time();
    time = std::min(time, std::max<std::chrono::milliseconds>(told - std::chrono::seconds(1), told / 2));
  }
  return std::min(Mono::now(), progress.stalled_since) + time;
}

std::unique_ptr<net::Stream> ClientPool::State::take_idle() noexcept {
  while (!idle.empty()) {
    Idle next = std::move(idle.front());
    idle.pop_front();
    if (usable(next)) return std::move(next.stream);
    next.stream->close();
  }
  return nullptr;
}

void ClientPool::State::give_back(std::unique_ptr<net::Stream> stream, MonoTime until) {
  if (closed || options.most_idle == 0) return stream->close();
  if (idle.size() == options.most_idle) idle.pop_back();
  idle.push_front({std::move(stream), Mono::now(), until});
  if (!armed() || until < sweep_at) sweep_by(until);
}

void ClientPool::State::expired() noexcept {
  std::erase_if(idle, [this](const Idle& connection) { return !usable(connection); });
  if (idle.empty()) return;
  sweep_by(std::ranges::min_element(idle, {}, &Idle::until)->until);
}

void ClientPool::State::sweep_by(MonoTime latest) noexcept {
  sweep_at = std::min(latest, Mono::now() + kSweepInterval);
  arm({sweep_at});
}

// Into a buffer that is wiped: the head carries the upstream's key.
void ClientPool::State::write_head(const OutgoingRequest& request, Buffer& into) const {
  char digits[24];
  const auto put = [&](const auto&... parts) { (into.append(std::string_view(parts)), ...); };
  put(request.method, " ", options.url.prefix, request.path, " HTTP/1.1\r\nhost: ", options.url.authority, "\r\n");
  for (const Header& header : request.headers) {
    if (is_field_value(header.value)) put(header.name, ": ", header.value, "\r\n");
  }
  std::size_t length = 0;
  for (const std::string_view part : request.body) length += part.size();
  if (length != 0 || request.method != "GET") {
    const char* const end = std::to_chars(digits, digits + sizeof digits, length).ptr;
    put("content-length: ", std::string_view(digits, static_cast<std::size_t>(end - digits)), "\r\n");
  }
  put("\r\n");
}

// Errors: kClosed, retry yes: the server has not got the whole request. kTimeout: it takes nothing.
Task<Status> ClientPool::State::send(net::Stream& stream, Progress& progress) {
  constexpr Error kCut = upstream_error(ErrorKind::kClosed, "the model server closed the connection", Retry::kYes);
  constexpr Error kStuck = upstream_error(ErrorKind::kTimeout, "the model server takes nothing");
  const std::span<const std::string_view> body = progress.request.body;
  Buffer first;
  std::size_t together = 0;
  std::size_t part = 0;
  for (; part < body.size() && together + body[part].size() <= kOneWriteBytes; ++part) together += body[part].size();
  (void)first.prepare(together + 1024);
  write_head(progress.request, first);
  for (std::size_t i = 0; i < part; ++i) first.append(body[i]);
  // Head and small parts leave together: one record, one system call.
  for (std::string_view next = first.view();;) {
    const Status written = co_await stream.write(next, net::Deadline::after(options.gap));
    if (!written) co_return written.error().kind == ErrorKind::kTimeout ? kStuck : kCut;
    if (progress.abandoned()) co_return kCut;
    if (part == body.size()) co_return ok();
    next = body[part++];
  }
}

Task<Status> ClientPool::State::receive(net::Stream& stream, Progress& progress, AnswerParser& parser,
                                        net::Deadline head_deadline) {
  for (;;) {
    if (progress.abandoned()) co_return kBrokeOff;
    if (progress.untaken > options.read_ahead_bytes) {
      progress.stalled_since = std::min(progress.stalled_since, Mono::now());
      co_await progress.room.wait();
      continue;
    }
    const Result<std::size_t> read = stream.try_read(scratch);
    if (!read && read.error().kind == ErrorKind::kWouldBlock) {
      if (!stream.turn_spent()) progress.stalled_since = MonoTime::max();
      const net::Deadline deadline = progress.has_head ? net::Deadline::after(options.gap) : head_deadline;
      const Status readable = co_await stream.wait_readable(deadline);
      if (!readable)
        co_return readable.error().kind == ErrorKind::kTimeout
            ? upstream_error(ErrorKind::kTimeout, "the model server was silent for too long")
            : kBrokeOff;
      continue;
    }
    const std::size_t before = progress.body.size();
    const std::size_t size = read ? *read : 0;
    const bool cut = !read || stream.truncated();
    const AnswerParser::Step step = size == 0
                                        ? parser.end(cut ? AnswerParser::End::kTruncated : AnswerParser::End::kClean)
                                        : parser.feed(std::span(scratch).first(size), progress.body);
    wipe(scratch.data(), size);
    if (step == AnswerParser::Step::kBad && !parser.is_http()) co_return kNotHttp;
    if (step == AnswerParser::Step::kBad) co_return read && !parser.began() ? kGivenUp : kBrokeOff;
    if (!progress.has_head && parser.has_head()) {
      parser.take_head(progress.head);
      progress.has_head = true;
    }
    progress.untaken += progress.body.size() - before;
    if (!progress.holding.set(progress.body.size())) co_return kHoldsTooMuch;
    if (step == AnswerParser::Step::kDone) co_return ok();
    progress.changed();
  }
}

}  // namespace sluice::http::h1
