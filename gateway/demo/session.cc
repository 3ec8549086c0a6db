#include "demo/session.h"

#include <charconv>
#include <chrono>
#include <cstdio>

#include "base/text.h"
#include "demo/words.h"

namespace sluice::demo {
namespace {

using std::chrono::duration_cast;

constexpr std::size_t kMostBodyBytes = 256u << 20;

http::ConnectionLimits limits() noexcept {
  http::ConnectionLimits limits;
  limits.idle_time = std::chrono::minutes(10);
  return limits;
}

class NoReserve final : public http::Incoming::Reserve {
 public:
  bool grow(std::size_t) noexcept override { return true; }
};

std::optional<Kind> kind_of(std::string_view path) noexcept {
  if (path == "/v1/chat/completions") return Kind::kChat;
  if (path == "/v1/completions") return Kind::kCompletion;
  if (path == "/v1/embeddings") return Kind::kEmbedding;
  if (path == "/v1/responses") return Kind::kResponse;
  return std::nullopt;
}

MonoTime after(double seconds) noexcept {
  return Mono::now() + duration_cast<Mono::duration>(std::chrono::duration<double>(seconds));
}

std::chrono::microseconds pace_of(const Plan& plan, const DemoOptions& options) noexcept {
  if (!plan.faults.has(Fault::kPace)) return options.pace;
  return duration_cast<std::chrono::microseconds>(
      std::chrono::duration<double, std::milli>(plan.faults.seconds(Fault::kPace)));
}

}  // namespace

Session::Session(Service& service, net::Loop& loop, std::unique_ptr<net::Stream> stream)
    : service_(service), connection_(std::move(stream), limits()), wake_(loop) {}

void Session::stop() noexcept {
  stopped_ = true;
  connection_.stream().close();
  wake_.notify();
}

Task<void> Session::run() {
  while (!stopped_) {
    const Result<const http::RequestHead*> head = co_await connection_.read_head();
    if (!head) {
      if (head.error().kind != ErrorKind::kClosed)
        (void)co_await send(400, error_object(head.error().what, "invalid_request_error", {}));
      break;
    }
    const Next next = co_await handle(**head);
    connection_.watch_client(nullptr);
    if (next != Next::kNextRequest || !connection_.keeps_alive()) break;
  }
  connection_.stream().close();
}

Task<Session::Next> Session::handle(const http::RequestHead& head) {
  const std::optional<Kind> kind = kind_of(head.path);
  if (!kind) co_return co_await look(head);
  if (head.method != http::Verb::post)
    co_return co_await send(405, error_object("POST only", "invalid_request_error", {}));
  co_return co_await call(head, *kind);
}

// What may be looked at without a call.
Task<Session::Next> Session::look(const http::RequestHead& head) {
  constexpr std::string_view kModelPath = "/v1/models/";
  if (head.method == http::Verb::get) {
    if (head.path == "/v1/models") co_return co_await send(200, model_list(service_));
    if (head.path == "/health") co_return co_await send(200, "{\"status\":\"ok\"}");
    if (head.path == "/demo/stats") co_return co_await send(200, service_.stats().json());
    if (head.path.starts_with(kModelPath)) {
      const std::string name = percent_decode(head.path.substr(kModelPath.size())).value_or("");
      if (service_.knows(name)) co_return co_await send(200, model_object(name));
      co_return co_await send(
          404, error_object("The model '" + name + "' does not exist", "invalid_request_error", "model_not_found"));
    }
  }
  co_return co_await send(404, error_object("Not found", "invalid_request_error", {}));
}

Task<Session::Next> Session::call(const http::RequestHead& head, Kind kind) {
  Buffer body;
  NoReserve reserve;
  if (const Status read = co_await connection_.read_body(body, kMostBodyBytes, reserve, net::Deadline::never());
      !read) {
    if (read.error().kind == ErrorKind::kClosed) co_return Next::kClose;
    co_return co_await send(read.error().kind == ErrorKind::kTooLarge ? 413 : 400,
                            error_object(read.error().what, "invalid_request_error", {}));
  }
  service_.stats().started(head, body.view());
  connection_.watch_client(&wake_);
  const char* wrong = "";
  std::optional<Ask> ask = read_ask(parser_, kind, body.view(), wrong);
  body.release();
  Next next = Next::kNextRequest;
  if (!ask) {
    next = co_await send(400, error_object(wrong, "invalid_request_error", {}));
  } else if (!service_.knows(ask->model)) {
    next = co_await send(
        404, error_object("The model '" + ask->model + "' does not exist", "invalid_request_error", "model_not_found"));
  } else {
    const Plan plan = plan_of(std::move(*ask), head);
    next = co_await answer(plan);
  }
  if (next == Next::kClientLeft) {
    service_.stats().cancelled();
  } else {
    service_.stats().finished();
  }
  co_return next;
}

Plan Session::plan_of(Ask ask, const http::RequestHead& head) {
  Plan plan;
  plan.faults = service_.faults();
  (void)plan.faults.add(head.fields["x-demo-fault"]);
  (void)plan.faults.add(fault_suffix(ask.model));
  plan.created = static_cast<std::uint64_t>(
      duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count());
  char id[32];
  std::snprintf(id, sizeof id, "%016llx", static_cast<unsigned long long>(spread(service_.next_id())));
  plan.id = id;
  plan.tokens = plan.faults.has(Fault::kTokens) ? plan.faults.number(Fault::kTokens) : service_.options().tokens;
  if (ask.kind == Kind::kEmbedding) plan.tokens = 0;
  if (!ask.said.empty()) {
    plan.said = tokens_of(ask.said);
    plan.tokens = plan.said.size();
  }
  if (!service_.options().ignore_caps && ask.cap && *ask.cap < plan.tokens) {
    plan.tokens = *ask.cap;
    plan.hit_cap = true;
  }
  plan.ask = std::move(ask);
  return plan;
}

Task<Session::Next> Session::answer(const Plan& plan) {
  const Faults& faults = plan.faults;
  if (faults.has(Fault::kSlowHead) && co_await pause(after(faults.seconds(Fault::kSlowHead))) == Next::kClientLeft)
    co_return Next::kClientLeft;
  const Next refused = co_await refuse(plan);
  if (refused != Next::kGoOn) co_return refused;
  if (plan.ask.stream && plan.ask.kind != Kind::kEmbedding) co_return co_await answer_stream(plan);
  co_return co_await answer_whole(plan);
}

// Takes as long as the stream would have.
Task<Session::Next> Session::answer_whole(const Plan& plan) {
  const auto duration = pace_of(plan, service_.options()) * plan.tokens;
  if (co_await pause(Mono::now() + duration) == Next::kClientLeft) co_return Next::kClientLeft;
  if (plan.faults.has(Fault::kDieMidStream)) {
    connection_.stream().abort();
    co_return Next::kClose;
  }
  std::string body = whole_answer(plan);
  if (!plan.faults.has(Fault::kGzip)) co_return co_await send(200, body);
  EventText text(plan.faults);
  text.raw(body);
  text.finish();
  constexpr http::Header kEncoding[] = {{"content-encoding", "gzip"}};
  co_return co_await send(200, text.bytes(), "application/json", kEncoding);
}

Task<Session::Next> Session::answer_stream(const Plan& plan) {
  constexpr http::Header kHeaders[] = {{"content-type", "text/event-stream; charset=utf-8"},
                                       {"cache-control", "no-cache"},
                                       {"content-encoding", "gzip"}};
  const std::size_t headers = plan.faults.has(Fault::kGzip) ? 3 : 2;
  connection_.begin(200, std::span(kHeaders).first(headers));
  EventText text(plan.faults);
  const std::unique_ptr<AnswerForm> form = make_form(plan);
  form->open(text);
  if (plan.faults.has(Fault::kOllamaSilentFailure)) co_return co_await end(text);
  if (co_await send_pending(text) == Next::kClientLeft) co_return Next::kClientLeft;
  co_return co_await run_tokens(plan, *form, text);
}

Task<Session::Next> Session::run_tokens(const Plan& plan, AnswerForm& form, EventText& text) {
  const std::chrono::microseconds pace = pace_of(plan, service_.options());
  const std::uint64_t middle = plan.tokens / 2;
  MonoTime due = Mono::now();
  for (std::uint64_t i = 0; i < plan.tokens; ++i, due += pace) {
    if (pace.count() != 0 && co_await pause(due) == Next::kClientLeft) co_return Next::kClientLeft;
    if (i == middle && !plan.faults.none()) {
      const Next next = co_await half_way(plan, form, text);
      if (next != Next::kGoOn) co_return next;
      due = std::max(due, Mono::now());
    }
    form.token(text, i);
    if (co_await send_pending(text) == Next::kClientLeft) co_return Next::kClientLeft;
  }
  form.close(text);
  if (plan.ask.kind != Kind::kResponse && !plan.faults.has(Fault::kNoDone)) text.event({}, {"[DONE]"});
  co_return co_await end(text);
}

Task<Session::Next> Session::send(unsigned status, std::string_view body, std::string_view content_type,
                                  std::span<const http::Header> more) {
  std::array<http::Header, 4> headers{{{"content-type", content_type}}};
  std::size_t count = 1;
  for (const http::Header& header : more) headers[count++] = header;
  const Status sent = co_await connection_.respond(status, std::span(headers).first(count), body);
  co_return sent ? Next::kNextRequest : Next::kClientLeft;
}

Task<Session::Next> Session::send_pending(EventText& text) {
  connection_.append(text.bytes());
  text.clear();
  const Status sent = co_await connection_.flush();
  co_return sent ? Next::kGoOn : Next::kClientLeft;
}

Task<Session::Next> Session::end(EventText& text) {
  text.finish();
  connection_.append(text.bytes());
  text.clear();
  const Status sent = co_await connection_.finish();
  co_return sent ? Next::kNextRequest : Next::kClientLeft;
}

Task<Session::Next> Session::pause(MonoTime at) {
  while (Mono::now() < at) {
    const net::Wake wake = co_await wake_.wait({at});
    if (wake == net::Wake::kNotified && (stopped_ || connection_.gone())) co_return Next::kClientLeft;
  }
  co_return Next::kGoOn;
}

}  // namespace sluice::demo
