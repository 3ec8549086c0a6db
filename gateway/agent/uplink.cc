#include "agent/uplink.h"

#include "agent/options.h"

namespace sluice::agent {
namespace {

constexpr std::chrono::seconds kLineInterval{10};

void answer(tunnel::IncomingPtr call, unsigned status, std::string_view body) {
  const http::Header type{"content-type", "application/json"};
  call->begin(status, {&type, 1});
  call->append(body);
  tunnel::IncomingCall::finish(std::move(call));
}

}  // namespace

Uplink::Uplink(UplinkContext& context, std::shared_ptr<net::Signal> changed)
    : context_(context),
      changed_(std::move(changed)),
      health_wake_(context.loop),
      tunnel_(context.loop, context.session, tunnel::BodyLimits{}, context.buffered, *this) {}

Task<void> Uplink::run(std::unique_ptr<net::Stream> stream) {
  co_await tunnel_.run(std::move(stream));
  ended_ = true;
  changed_->notify();
}

void Uplink::leave() noexcept {
  tunnel_.leave();
  health_wake_.notify();
}

void Uplink::handle(tunnel::IncomingPtr call) noexcept {
  if (call->head().target.starts_with(tunnel::kControlPrefix)) {
    control(std::move(call));
  } else {
    context_.forwarder.take(std::move(call));
  }
}

void Uplink::control(tunnel::IncomingPtr call) {
  const std::string_view path = call->head().target;
  if (path == tunnel::kHelloPath) return say_hello(std::move(call));
  if (path == tunnel::kRenewPath) return renew(std::move(call));
  if (path == tunnel::kHealthPath && !reports_) {
    reports_ = true;
    changed_->notify();
    return context_.tasks.spawn(report(shared_from_this(), std::move(call)));
  }
  if (path == tunnel::kDrainPath) {
    wants_replacement_ = true;
    changed_->notify();
    return answer(std::move(call), 200, "{}");
  }
  answer(std::move(call), 404, R"({"error":{"message":"no such control request"}})");
}

void Uplink::say_hello(tunnel::IncomingPtr call) {
  hello_ = tunnel::decode_hello(call->body());
  if (!hello_) return answer(std::move(call), 400, "{}");
  tunnel::HelloAnswer said = context_.reporter.hello(std::string(kVersion));
  context_.forwarder.calls().tell(*hello_, said);
  answer(std::move(call), 200, tunnel::encode(said));
  changed_->notify();
}

void Uplink::renew(tunnel::IncomingPtr call) {
  if (const auto certificate = tunnel::decode_certificate(call->body())) {
    const absl::Status status = context_.credentials.renew(*certificate);
    return answer(std::move(call), status.ok() ? 200 : 400, "{}");
  }
  const absl::StatusOr<std::string> csr = context_.credentials.renewal_csr();
  if (!csr.ok()) return answer(std::move(call), 500, "{}");
  answer(std::move(call), 200, tunnel::encode_csr(*csr));
}

// `self` keeps the uplink until the report has seen that its tunnel is over, a turn after everybody else.
Task<void> Uplink::report([[maybe_unused]] std::shared_ptr<Uplink> self, tunnel::IncomingPtr call) {
  const Reporter::Subscription subscription(context_.reporter, health_wake_);
  call->watch_client(&health_wake_);
  const http::Header type{"content-type", "application/x-ndjson"};
  call->begin(200, {&type, 1});
  std::uint64_t reported = 0;
  MonoTime due = Mono::now();
  while (!call->gone() && !tunnel_.leaving()) {
    // A gateway that takes nothing hears of the newest only, once it does.
    if (call->room() != 0 && (context_.reporter.version() != reported || Mono::now() >= due)) {
      if (std::exchange(reported, context_.reporter.version()) != context_.reporter.version()) changed_->notify();
      due = Mono::now() + kLineInterval;
      const std::string line = context_.reporter.line();
      call->append(line);
    }
    (void)co_await health_wake_.wait(call->room() == 0 ? net::Deadline::never() : net::Deadline{due});
  }
  call->watch_client(nullptr);
  tunnel::IncomingCall::finish(std::move(call));
}

}  // namespace sluice::agent
