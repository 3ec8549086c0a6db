#include "tunnel/host.h"

#include <openssl/x509.h>

#include <ctime>

#include "http/read_answer.h"
#include "tunnel/remote_call.h"
#include "tunnel/taken_endpoints.h"

namespace sluice::tunnel {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kAskTime{10};
constexpr std::chrono::seconds kDutyInterval{10};
constexpr std::chrono::seconds kSigningTime{30};
// Behind health lines of so many bytes.
constexpr std::chrono::milliseconds kShortestRest{50};
constexpr std::size_t kBytesAMillisecond = 4096;
constexpr std::chrono::hours kRenewalPause{
    1};  // behind one that failed, and for what the other tunnels see of one that did not

// When two thirds of the certificate's life have passed.
MonoTime renewal_time(const X509* certificate) noexcept {
  std::tm begin{}, end{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notBefore(certificate), &begin) != 1 ||
      ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) {
    return MonoTime::max();
  }
  const std::int64_t from = ::timegm(&begin);
  const std::int64_t due = from + (::timegm(&end) - from) * 2 / 3;
  return Mono::now() + std::chrono::seconds(due - std::time(nullptr));
}

// A certificate being signed elsewhere.
// Lifetime: shared by the waiting coroutine and the signer's callback, either of which may be last.
struct Signing {
  net::Signal* wake = nullptr;  // null: nobody waits any more
  std::optional<absl::StatusOr<std::string>> result;
};

}  // namespace

struct Host::Link {
  Link(net::Loop& loop, const SessionOptions& options, AgentPtr of, observe::Log& log)
      : tunnel(loop, options), agent(std::move(of)), duty(loop), tasks(loop, [&log](const char* what) {
          log.error("fault in a tunnel", {{"what", what}});
        }) {}

  GatewayTunnel tunnel;
  AgentPtr agent;
  net::Signal duty;  // something is to be done for this tunnel, or it is over
  net::TaskGroup tasks;
  std::string boot;
  MonoTime renew_at = MonoTime::max();
  bool up = false;
  bool wants_drain = false;
  bool outdated = false;  // made by options that a reload has changed
  bool asked_to_drain = false;
};

Host::Host(Registry& registry, net::Loop& loop) noexcept
    : registry_(registry), loop_(loop), tasks_(loop, [&log = registry.log_](const char* what) {
        log.error("fault in a tunnel", {{"what", what}});
      }) {}

void Host::adopt(std::unique_ptr<net::Stream> stream, AgentPtr agent) {
  tasks_.spawn(serve(std::move(stream), std::move(agent)));
}

Task<void> Host::serve(std::unique_ptr<net::Stream> stream, AgentPtr agent) {
  const RegistryOptions options = registry_.options();
  Link link(loop_, options.session, agent, registry_.log_);
  link.renew_at = renewal_time(stream->ssl() == nullptr ? nullptr : SSL_get0_peer_certificate(stream->ssl()));
  link.tunnel.watch_leaving(&link.duty);
  const auto position = links_.insert(links_.end(), &link);
  if (closing_) link.tunnel.close();
  link.tasks.spawn(control(link));
  co_await link.tunnel.run(std::move(stream));
  go_down(link);
  link.duty.notify();
  co_await link.tasks.join();
  links_.erase(position);
  registry_.log_.info("tunnel ended", {{"agent", agent->id()}, {"reason", to_string(link.tunnel.end())}});
  registry_.tunnel_gone(agent, loop_.index());
}

// --- what is said on a tunnel ----------------------------------------------------------------------------------------

Task<void> Host::control(Link& link) {
  const RegistryOptions options = registry_.options();
  Hello hello{options.gateway,
              options.generation,
              static_cast<std::uint32_t>(link.agent->workers()),
              loop_.index(),
              options.tunnels_per_agent,
              static_cast<std::uint32_t>(options.reconnect_cap.count()),
              offered_endpoints(options.endpoints)};
  const identity::Binding& binding = link.agent->binding();
  if (binding.which != identity::BoundModels::kAny) hello.may_serve = binding.models;
  const std::optional<std::string> text = co_await ask(link, kHelloPath, encode(hello));
  const std::optional<HelloAnswer> answer = text ? decode_hello_answer(*text) : std::nullopt;
  if (!answer) co_return link.tunnel.close(SessionEnd::kProtocol);
  link.boot = answer->boot;
  if (link.tunnel.leaving()) co_return;
  go_up(link);
  registry_.tunnel_up(link.agent, loop_.index(), *answer);
  link.tasks.spawn(follow_health(link));
  co_await watch_over(link);
}

void Host::go_up(Link& link) noexcept {
  link.up = true;
  ready_[link.agent.get()].push_back(&link.tunnel);
}

void Host::go_down(Link& link) noexcept {
  if (!link.up) return;
  link.up = false;
  auto& tunnels = ready_[link.agent.get()];
  std::erase(tunnels, &link.tunnel);
  if (tunnels.empty()) ready_.erase(link.agent.get());
  registry_.tunnel_down(link.agent, loop_.index());
}

Task<std::optional<std::string>> Host::ask(Link& link, std::string_view path, std::string body) {
  net::Signal wake(loop_);
  const std::string_view part = body;
  const http::Header type{"content-type", "application/json"};
  const http::OutgoingRequest request{"POST", path, {&type, 1}, {&part, 1}};
  const std::unique_ptr<http::OutgoingCall> call = link.tunnel.start(request, wake);
  const net::Deadline deadline = net::Deadline::after(kAskTime);
  const Status read = co_await http::read_answer(*call, wake, deadline, kControlBytes);
  if (!read || call->head()->status != 200) co_return std::nullopt;
  co_return std::string(call->body().view());
}

Task<void> Host::follow_health(Link& link) {
  net::Signal wake(loop_);
  const http::OutgoingRequest request{"GET", kHealthPath, {}, {}};
  const std::unique_ptr<http::OutgoingCall> call = link.tunnel.start(request, wake);
  const std::chrono::milliseconds gap = registry_.options().health_gap;
  std::size_t unfinished = 0;
  while (call->state() == http::CallState::kRunning) {
    const std::size_t lines_bytes = take_lines(link, *call, unfinished);
    if (unfinished > kHealthBytes) co_return link.tunnel.close(SessionEnd::kProtocol);  // a line that will never end
    if (lines_bytes == 0) {
      const net::Wake woken = co_await wake.wait(net::Deadline::after(gap));
      if (woken == net::Wake::kDeadline) co_return link.tunnel.close(SessionEnd::kSilent);
      continue;
    }
    // A line costs the control thread a time that grows with it. What comes meanwhile waits in the agent's window.
    const net::Deadline rest = net::Deadline::after(kShortestRest + lines_bytes / kBytesAMillisecond * 1ms);
    while (call->state() == http::CallState::kRunning && !rest.passed()) (void)co_await wake.wait(rest);
  }
  if (!link.tunnel.leaving()) link.tunnel.close(SessionEnd::kProtocol);
}

// Hands on the lines that are whole; returns their bytes. `unfinished`: bytes of the last line, so far.
std::size_t Host::take_lines(Link& link, http::OutgoingCall& call, std::size_t& unfinished) {
  Buffer& body = call.body();
  call.taken(body.size() - unfinished);  // before its line is whole: it may be longer than the stream's window
  std::size_t taken = 0;
  for (std::size_t from = unfinished;; from = 0) {
    const std::size_t end = body.view().find('\n', from);
    if (end == std::string_view::npos) break;
    registry_.health_line(link.agent, link.boot, std::string(body.view().substr(0, end)));
    body.consume(end + 1);
    taken += end + 1;
  }
  unfinished = body.size();
  return taken;
}

// Whatever a tunnel needs while it lives, one thing after another.
Task<void> Host::watch_over(Link& link) {
  while (!link.tunnel.leaving()) {
    if ((link.wants_drain || link.outdated || link.tunnel.worn()) && !link.asked_to_drain) {
      link.asked_to_drain = true;
      (void)co_await ask(link, kDrainPath, encode(link.wants_drain ? DrainScope::kGateway : DrainScope::kTunnel));
    } else if (Mono::now() >= link.renew_at) {
      link.renew_at = Mono::now() + kRenewalPause;
      if (link.agent->begin_renewal(Mono::now(), kRenewalPause)) co_await renew(link);
    }
    if (!link.tunnel.leaving()) (void)co_await link.duty.wait(net::Deadline::after(kDutyInterval));
  }
  go_down(link);
}

Task<void> Host::renew(Link& link) {
  const std::optional<std::string> asked = co_await ask(link, kRenewPath, "{}");
  std::optional<std::string> csr = asked ? decode_csr(*asked) : std::nullopt;
  if (!csr) co_return;
  net::Signal wake(loop_);
  const auto signing = std::make_shared<Signing>();
  signing->wake = &wake;
  registry_.directory_.renew(link.agent->id(), std::move(*csr),
                             [signing, &loop = loop_](absl::StatusOr<std::string> result) {
                               loop.post([signing, result = std::move(result)]() mutable {
                                 signing->result = std::move(result);
                                 if (signing->wake != nullptr) signing->wake->notify();
                               });
                             });
  (void)co_await wake.wait(net::Deadline::after(kSigningTime));
  signing->wake = nullptr;
  if (!signing->result || !signing->result->ok()) {
    registry_.log_.warn("certificate not renewed", {{"agent", link.agent->id()}});
    co_return;
  }
  const std::optional<std::string> installed = co_await ask(link, kRenewPath, encode_certificate(**signing->result));
  if (!installed) co_return;
  link.renew_at = MonoTime::max();
  registry_.log_.info("certificate renewed", {{"agent", link.agent->id()}});
}

// --- what the worker asks of its tunnels -----------------------------------------------------------------------------

GatewayTunnel* Host::tunnel_to(const Agent& agent) noexcept {
  const auto found = ready_.find(&agent);
  if (found == ready_.end()) return nullptr;
  GatewayTunnel* best = nullptr;
  for (GatewayTunnel* tunnel : found->second) {
    if (tunnel->room() != 0 && (best == nullptr || tunnel->streams() < best->streams())) best = tunnel;
  }
  return best;
}

void Host::cut(const std::string& agent_id) noexcept {
  for (Link* link : links_) {
    if (link->agent->id() == agent_id) link->tunnel.close();
  }
}

void Host::drain() noexcept {
  for (Link* link : links_) {
    link->wants_drain = true;
    link->duty.notify();
  }
}

void Host::replace_tunnels() noexcept {
  for (Link* link : links_) {
    link->outdated = true;
    link->duty.notify();
  }
}

Task<void> Host::close() {
  closing_ = true;
  for (Link* link : links_) link->tunnel.close();
  co_await tasks_.join();
}

}  // namespace sluice::tunnel
