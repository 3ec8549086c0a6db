#include "admin/agents.h"

#include "admin/text.h"

namespace sluice::admin {
namespace {

absl::Status refused_key() {
  return absl::PermissionDeniedError(
      "the pairing key is unknown, used or expired; make a new one with: sluice pair create");
}
absl::Status no_agent(std::string_view id) {
  return absl::NotFoundError("no agent " + std::string(id) + "; see: sluice agent list");
}

identity::Agent in_memory(const store::AgentRecord& record) {
  return {.id = record.id,
          .name = record.name,
          .fingerprint = record.fingerprint,
          .expires = record.expires,
          .created = record.created,
          .revoked = record.revoked.has_value(),
          .suspended = record.suspended.has_value(),
          .binding = record.binding};
}

}  // namespace

absl::Status Agents::load() {
  const auto agents = store_.agents();
  if (!agents.ok()) return agents.status();
  for (const store::AgentRecord& agent : *agents) book_.put(in_memory(agent));
  const auto keys = store_.pairing_keys(clock_.wall());
  if (!keys.ok()) return keys.status();
  pairing_keys_.insert(keys->begin(), keys->end());
  return absl::OkStatus();
}

absl::StatusOr<Agents::PairingKey> Agents::create_pairing_key(const identity::Binding& binding) {
  identity::NewSecret secret = identity::create_secret(identity::kPairingKeyPrefix);
  const WallTime now = clock_.wall(), expires = now + times_.key_lifetime;
  if (absl::Status done = store_.add_pairing_key(secret.hash, binding, now, expires); !done.ok()) return done;
  pairing_keys_.insert(secret.hash);
  return PairingKey{.secret = std::move(secret.text), .expires = expires};
}

bool Agents::knows(std::string_view pairing_key) const {
  return identity::check_form(pairing_key, identity::kPairingKeyPrefix) == identity::SecretForm::kGood &&
         pairing_keys_.contains(identity::sha256(pairing_key));
}

absl::StatusOr<Agents::Paired> Agents::pair(std::string_view pairing_key, std::string_view csr, std::string_view name) {
  if (!knows(pairing_key)) return refused_key();
  const identity::Sha256 hash = identity::sha256(pairing_key);
  if (absl::Status good = check_name("agent", name); !good.ok()) return good;
  // Signed for nobody first: a request that cannot be signed must not cost the pairing key.
  if (const auto tried = ca_.sign(csr, "nobody", std::chrono::seconds(1)); !tried.ok()) return tried.status();
  const WallTime now = clock_.wall();
  const auto agent = store_.pair_agent(hash, name, now);
  if (agent.ok() || absl::IsNotFound(agent.status())) pairing_keys_.erase(hash);
  if (absl::IsNotFound(agent.status())) return refused_key();
  if (!agent.ok()) return agent.status();
  book_.put(in_memory(*agent));
  auto certificate = issue(agent->id, csr);
  if (!certificate.ok()) return certificate.status();
  return Paired{
      .agent_id = identity::agent_name(agent->id), .certificate = std::move(*certificate), .ca = ca_.certificate()};
}

absl::StatusOr<std::string> Agents::renew(std::string_view agent_id, std::string_view csr) {
  const auto id = identity::parse_agent_name(agent_id);
  if (!id || !book_.live(*id)) return absl::PermissionDeniedError("this agent is not known here, or it is revoked");
  return issue(*id, csr);
}

absl::StatusOr<std::string> Agents::issue(std::uint64_t id, std::string_view csr) {
  const auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(times_.certificate_lifetime);
  auto certificate = ca_.sign(csr, identity::agent_name(id), lifetime);
  if (!certificate.ok()) return certificate.status();
  const auto read = net::read_certificate(*certificate);
  if (!read.ok()) return read.status();
  if (absl::Status done = store_.set_agent_certificate(id, read->fingerprint, read->not_after); !done.ok()) return done;
  if (auto agent = book_.live(id)) {
    agent->fingerprint = read->fingerprint;
    agent->expires = read->not_after;
    book_.put(std::move(*agent));
  }
  return certificate;
}

absl::Status Agents::revoke(std::string_view agent_id, const std::function<void(const std::string&)>& cut) {
  const auto id = identity::parse_agent_name(agent_id);
  if (!id) return no_agent(agent_id);
  const WallTime now = clock_.wall();
  const absl::Status done = store_.revoke_agent(*id, now);
  if (absl::IsNotFound(done)) return no_agent(agent_id);
  if (!done.ok()) return done;
  book_.revoke(*id);
  cut(std::string(agent_id));
  return store::write_down(revocations_, {.when = now, .of = store::Revocation::Of::kAgent, .id = *id});
}

absl::Status Agents::remember(std::string_view agent_id, std::span<const std::string> models) {
  const auto id = identity::parse_agent_name(agent_id);
  if (!id) return no_agent(agent_id);
  return store_.set_known_models(*id, models, clock_.wall());
}

}  // namespace sluice::admin
