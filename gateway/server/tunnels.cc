#include "server/tunnels.h"

#include "admin/store_lock.h"
#include "base/json.h"
#include "proxy/reply.h"
#include "server/show.h"

namespace sluice::server {
namespace {

constexpr std::string_view kPairPath = "/.sluice/v1/pair";
constexpr std::size_t kPairBytes = 16u << 10;  // a request for a certificate has one or two thousand bytes
constexpr std::chrono::seconds kPairTime{30};
// At once: whoever can reach the port may ask, and each costs the control thread a signature and a look into the store.
constexpr unsigned kMostPairings = 8;
constexpr std::array<http::Header, 2> kHeaders{{{"content-type", "application/json"}, {"cache-control", "no-store"}}};

// The body of one request, counted against the process's cap: whoever can reach the port may send one.
class PairingBody final : public http::Incoming::Reserve {
 public:
  explicit PairingBody(HeldBytes& held) noexcept : held_(held) {}
  PairingBody(const PairingBody&) = delete;
  PairingBody& operator=(const PairingBody&) = delete;
  ~PairingBody() override { held_.give(counted_); }
  bool grow(std::size_t more_bytes) noexcept override {
    if (!held_.take(more_bytes)) return false;
    counted_ += more_bytes;
    return true;
  }

 private:
  HeldBytes& held_;
  std::size_t counted_ = 0;
};

// Outside of the coroutine: g++ 12 cannot keep the arrays behind initialiser lists in a coroutine's frame.
std::string paired_text(const admin::Agents::Paired& paired) {
  return json::serialize(json::object{{"agent_id", paired.agent_id},
                                      {"certificate", paired.certificate},
                                      {"ca", paired.ca},
                                      {"gateways", json::array{}}});
}

// What the store or the CA said, as the kind that gives the status for it.
Error error_of(const absl::Status& status) noexcept {
  if (absl::IsPermissionDenied(status)) return client_error(ErrorKind::kForbidden, "");
  if (absl::IsInvalidArgument(status)) return client_error(ErrorKind::kBadRequest, "");
  return self_error(ErrorKind::kUnavailable, "");
}

}  // namespace

std::optional<tunnel::KnownAgent> StoredAgents::find(X509& certificate) const noexcept {
  const auto read = net::read_certificate(&certificate);
  if (!read.ok()) return std::nullopt;
  const auto id = identity::parse_agent_name(read->common_name);
  if (!id) return std::nullopt;
  const auto agent = book_.live(*id);
  if (!agent) return std::nullopt;
  return tunnel::KnownAgent{.id = identity::agent_name(agent->id), .name = agent->name, .binding = agent->binding};
}

void StoredAgents::renew(const std::string& agent_id, std::string csr, Signed done) noexcept {
  control_.loop.post([this, agent_id, csr = std::move(csr), done = std::move(done)]() mutable {
    control_.tasks.spawn(renew_when_free(agent_id, std::move(csr), std::move(done)));
  });
}

Task<void> StoredAgents::renew_when_free(std::string agent_id, std::string csr, Signed done) {
  const absl::Status changeable = co_await admin::await_change(control_.store, control_.loop);
  if (!changeable.ok()) co_return done(changeable);
  done(agents_.renew(agent_id, csr));
}

void StoredAgents::remember(const std::string& agent_id, const std::vector<std::string>& models) noexcept {
  control_.loop.post(
      [this, agent_id, models]() mutable { control_.tasks.spawn(remember_when_free(agent_id, std::move(models))); });
}

Task<void> StoredAgents::remember_when_free(std::string agent_id, std::vector<std::string> models) {
  absl::Status kept = co_await admin::await_change(control_.store, control_.loop);
  if (kept.ok()) kept = agents_.remember(agent_id, models);
  if (!kept.ok()) log_not_kept(agent_id, kept);
}

void StoredAgents::log_not_kept(const std::string& agent_id, const absl::Status& why) noexcept {
  log_.warn("models of an agent not stored", {{"agent", agent_id}, {"why", text_of(why)}});
}

// Carried to the control thread and back; whichever end is last frees it.
struct PairingEndpoint::PairingRequest {
  PairingRequest(net::Loop& loop_, json::object asked_) : loop(loop_), done(loop_), asked(std::move(asked_)) {}
  net::Loop& loop;  // the worker's
  net::Signal done;
  json::object asked;
  absl::StatusOr<admin::Agents::Paired> paired = absl::UnavailableError("the gateway is busy; try again");
  bool waiting = true;  // on the worker; nobody listens any more once it is false
};

// In the words of every other path.
Task<Status> PairingEndpoint::refuse(http::Incoming& client, Error error, std::string_view message) const {
  return proxy::answer_error(client, dialects_.first(), error, message);
}

Task<Status> PairingEndpoint::serve(proxy::Worker& worker, http::Incoming& client, const policy::Peer& peer) {
  net::Loop& loop = worker.loop;
  const std::shared_ptr<const policy::Chain> chain = worker.conf->chain;  // shared: a reload may replace it meanwhile
  const http::RequestHead& head = client.head();
  if (head.path != kPairPath || head.method != http::Verb::post)
    co_return co_await refuse(client,
                              client_error(ErrorKind::kNotFound, "there is nothing here but POST /.sluice/v1/pair"));
  if (const policy::Decision decision = chain->arrive(peer); decision.verdict == policy::Verdict::kRefuse)
    co_return co_await refuse(client, decision.error, decision.message);
  Buffer body;
  PairingBody reserve(held_);
  const net::Deadline until = net::Deadline::after(client.head_time());
  if (const Status read = co_await client.read_body(body, kPairBytes, reserve, until); !read)
    co_return co_await refuse(client, read.error());
  std::optional<json::object> asked = parse_object(body.view(), kPairBytes);
  if (!asked)
    co_return co_await refuse(
        client, client_error(ErrorKind::kBadRequest, "the body must be a JSON object with pairing_key, csr and name"));
  if (pairings_.fetch_add(1) >= kMostPairings) {
    pairings_.fetch_sub(1);
    co_return co_await refuse(
        client, self_error(ErrorKind::kOverloaded, "too many agents ask to be paired now; retry shortly"));
  }
  const auto request =
      std::make_shared<PairingRequest>(loop, *std::move(asked));  // shared: the worker may stop waiting first
  control_.loop.post([this, request] { control_.tasks.spawn(pair(request)); });
  (void)co_await request->done.wait(net::Deadline::after(kPairTime));
  request->waiting = false;
  if (absl::IsPermissionDenied(request->paired.status()))
    chain->authentication_failed(peer, policy::CredentialFailure::kPairing);
  if (!request->paired.ok())
    co_return co_await refuse(client, error_of(request->paired.status()), text_of(request->paired.status()));
  log_paired(request->paired->agent_id);
  const std::string text = paired_text(*request->paired);
  co_return co_await client.respond(200, kHeaders, text);
}

// The store is not asked, nor waited for, for a stranger's guess.
Task<void> PairingEndpoint::pair(std::shared_ptr<PairingRequest> request) {
  const json::object& o = request->asked;
  const std::string_view key = sluice::text_of(o, "pairing_key");
  absl::Status changeable;
  if (agents_.knows(key)) changeable = co_await admin::await_change(control_.store, control_.loop);
  absl::StatusOr<admin::Agents::Paired> paired;
  if (!changeable.ok())
    paired = changeable;
  else
    paired = agents_.pair(key, sluice::text_of(o, "csr"), sluice::text_of(o, "name"));
  pairings_.fetch_sub(1);
  if (!paired.ok()) log_refusal(paired.status());
  request->loop.post([request, paired = std::move(paired)]() mutable {
    request->paired = std::move(paired);
    if (request->waiting) request->done.notify();
  });
}

void PairingEndpoint::log_refusal(const absl::Status& why) noexcept {
  if (!refusals_.take(Mono::now())) return;  // a stranger would fill the disk
  log_.warn("an agent was not paired", {{"why", text_of(why)}});
}
void PairingEndpoint::log_paired(const std::string& agent_id) noexcept {
  log_.info("agent paired", {{"agent", agent_id}});
}

}  // namespace sluice::server
