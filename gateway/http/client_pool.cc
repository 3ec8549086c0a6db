// One coroutine drives each call: connection, request, head, body. It shares its Progress with the OutgoingCall that
// the caller holds, and stops as soon as that is gone.
#include "http/client_pool.h"

#include <algorithm>
#include <charconv>

#include "http/answer_parser.h"

namespace sluice::http {
namespace {

constexpr std::chrono::seconds kResolvedFor{30};
constexpr std::size_t kReadBytes = 64u << 10;

constexpr Error kNoConnection = {
    ErrorKind::kConnect, Origin::kUpstream, Retry::kYes, 0, 0, "the model server cannot be reached"};
constexpr Error kBrokeOff = {
    ErrorKind::kProtocol, Origin::kUpstream, Retry::kNo, 0, 0, "the model server broke off its answer"};

struct Idle {
  std::unique_ptr<net::Stream> stream;
  MonoTime since;
};

// What the driving coroutine and the call share.
struct Progress {
  Progress(net::Loop& loop, const OutgoingRequest& request_, net::Signal& wake_)
      : request(request_), wake(&wake_), room(loop) {}

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
  std::size_t untaken = 0;  // arrived and not said to be taken
  Error error;
};

}  // namespace

struct ClientPool::State {
  State(net::Loop& loop_, net::TaskGroup& tasks_, ClientPoolOptions options_)
      : loop(loop_), tasks(tasks_), options(std::move(options_)), resolver(loop.executor()) {}

  net::Loop& loop;
  net::TaskGroup& tasks;
  ClientPoolOptions options;
  asio::ip::basic_resolver<asio::ip::tcp, Executor> resolver;
  std::vector<net::Endpoint> endpoints;
  MonoTime resolved_until{};
  std::list<Idle> idle;  // the last used first
  bool closed = false;
  std::array<char, kReadBytes> scratch;  // filled and emptied between two awaits

  std::unique_ptr<net::Stream> take_idle() noexcept;
  void give_back(std::unique_ptr<net::Stream> stream);
  Task<Status> resolve(net::Deadline deadline);
  Task<Result<std::unique_ptr<net::Stream>>> connect();
  std::string write_head(const OutgoingRequest& request) const;
  Task<Status> send(net::Stream& stream, Progress& progress);
  Task<Status> receive(net::Stream& stream, Progress& progress, AnswerParser& parser, net::Deadline head_deadline);
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
    progress_->untaken -= std::min(progress_->untaken, size_bytes);
    progress_->room.notify();
  }
  [[nodiscard]] Error error() const noexcept override { return progress_->error; }

 private:
  std::shared_ptr<Progress> progress_;  // shared: the coroutine ends a turn after the call
};

// Drives one call to its end. Everything that it needs is in its own frame.
Task<void> drive(std::shared_ptr<ClientPool::State> pool, std::shared_ptr<Progress> progress,
                 net::Deadline head_deadline) {
  std::unique_ptr<net::Stream> stream = pool->take_idle();
  if (!stream) {
    Result<std::unique_ptr<net::Stream>> connected = co_await pool->connect();
    if (!connected) co_return progress->fail(connected.error());
    stream = std::move(*connected);
  }
  if (progress->abandoned()) co_return stream->close();
  progress->stream = stream.get();
  AnswerParser parser(pool->options.head_bytes);
  Status done = co_await pool->send(*stream, *progress);
  // A server may answer and close before it has read the whole request: its answer counts.
  if (done || done.error().retry == Retry::kNo)
    done = co_await pool->receive(*stream, *progress, parser, head_deadline);
  progress->stream = nullptr;
  if (done && parser.keeps_alive() && !progress->abandoned()) {
    pool->give_back(std::move(stream));
  } else {
    stream->close();
  }
  if (!done) co_return progress->fail(done.error());
  progress->state = CallState::kEnded;
  progress->changed();
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
  auto progress = std::make_shared<Progress>(state_->loop, request, wake);
  state_->tasks.spawn(drive(state_, progress, head_deadline));
  return std::make_unique<PooledCall>(std::move(progress));
}

// A connection that is still good: nothing to read, not closed, not too old.
std::unique_ptr<net::Stream> ClientPool::State::take_idle() noexcept {
  while (!idle.empty()) {
    Idle next = std::move(idle.front());
    idle.pop_front();
    std::array<char, 1> byte;
    const Result<std::size_t> read = next.stream->try_read(byte);
    const bool quiet = !read && read.error().kind == ErrorKind::kWouldBlock;
    if (quiet && Mono::now() - next.since < options.idle_time) return std::move(next.stream);
    next.stream->close();
  }
  return nullptr;
}

void ClientPool::State::give_back(std::unique_ptr<net::Stream> stream) {
  if (closed) return stream->close();
  idle.push_front({std::move(stream), Mono::now()});
  while (idle.size() > options.most_idle || Mono::now() - idle.back().since > options.idle_time) {
    idle.back().stream->close();
    idle.pop_back();
  }
}

// Addresses of the host, asked again every half minute; the last good ones serve while the name server does not.
Task<Status> ClientPool::State::resolve(net::Deadline) {
  if (Mono::now() < resolved_until) co_return ok();
  boost::system::error_code ec;
  if (const auto literal = asio::ip::make_address(options.url.host, ec); !ec) {
    endpoints.assign(1, {literal, options.url.port});
    resolved_until = MonoTime::max();
    co_return ok();
  }
  auto [error, results] = co_await resolver.async_resolve(options.url.host, std::to_string(options.url.port), use_task);
  if (!error) endpoints.assign(results.begin(), results.end());
  if (endpoints.empty()) co_return kNoConnection;
  resolved_until = Mono::now() + kResolvedFor;
  co_return ok();
}

Task<Result<std::unique_ptr<net::Stream>>> ClientPool::State::connect() {
  const net::Deadline deadline = net::Deadline::after(options.connect_time);
  SLUICE_CO_TRY(co_await resolve(deadline));
  const std::vector<net::Endpoint> candidates = endpoints;
  Error last = kNoConnection;
  for (const net::Endpoint& endpoint : candidates) {
    Result<std::unique_ptr<net::Stream>> stream = co_await net::Stream::connect(loop, endpoint, deadline);
    if (stream && options.url.tls) {
      if (const Status secured =
              co_await (*stream)->handshake_as_client(options.context.get(), options.url.host, deadline);
          !secured)
        stream = secured.error();
    }
    if (stream) co_return stream;
    last.os_code = stream.error().os_code;
  }
  co_return last;
}

std::string ClientPool::State::write_head(const OutgoingRequest& request) const {
  std::string head;
  head.reserve(512);
  head.append(request.method).append(" ").append(options.url.prefix).append(request.path).append(" HTTP/1.1\r\nhost: ");
  head.append(options.url.authority).append("\r\n");
  for (const Header& header : request.headers)
    head.append(header.name).append(": ").append(header.value).append("\r\n");
  std::size_t length = 0;
  for (const std::string_view part : request.body) length += part.size();
  if (length != 0 || request.method != "GET")
    head.append("content-length: ").append(std::to_string(length)).append("\r\n");
  return head.append("\r\n");
}

// Errors: retry yes as long as no byte has left.
Task<Status> ClientPool::State::send(net::Stream& stream, Progress& progress) {
  constexpr std::size_t kOneWriteBytes = 16u << 10;
  Buffer first;
  first.append(write_head(progress.request));
  std::size_t part = 0;
  // Head and small parts leave together: one record, one system call.
  for (; part < progress.request.body.size(); ++part) {
    if (first.size() + progress.request.body[part].size() > kOneWriteBytes) break;
    first.append(progress.request.body[part]);
  }
  const net::Deadline first_deadline = net::Deadline::after(options.gap);
  Status written = co_await stream.write(first.view(), first_deadline);
  if (!written) co_return upstream_error(ErrorKind::kClosed, "the model server closed the connection");
  for (; !progress.abandoned() && part < progress.request.body.size(); ++part) {
    const net::Deadline deadline = net::Deadline::after(options.gap);
    written = co_await stream.write(progress.request.body[part], deadline);
    if (!written) co_return upstream_error(ErrorKind::kClosed, "the model server closed the connection");
  }
  co_return ok();
}

Task<Status> ClientPool::State::receive(net::Stream& stream, Progress& progress, AnswerParser& parser,
                                        net::Deadline head_deadline) {
  Buffer rest;  // what the parser could not use yet: part of a head or of a chunk's frame
  for (;;) {
    if (progress.abandoned()) co_return kBrokeOff;
    if (progress.untaken > options.read_ahead_bytes) {
      co_await progress.room.wait();
      continue;
    }
    const Result<std::size_t> read = stream.try_read(scratch);
    if (!read && read.error().kind == ErrorKind::kWouldBlock) {
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
    const AnswerParser::Step step =
        size == 0 ? parser.end(progress.body) : parser.feed(scratch, size, rest, progress.body);
    wipe(scratch.data(), size);
    if (step == AnswerParser::Step::kBad) co_return kBrokeOff;
    if (!progress.has_head && parser.has_head()) {
      parser.take_head(progress.head);
      progress.has_head = true;
    }
    progress.untaken += progress.body.size() - before;
    if (step == AnswerParser::Step::kDone) co_return ok();
    progress.changed();
  }
}

}  // namespace sluice::http
