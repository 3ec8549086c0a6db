// The part of Accounts that is about keys: making, changing, rotating them.
#include <utility>

#include "admin/accounts.h"
#include "admin/text.h"

namespace sluice::admin {
namespace {

absl::Status check_models(std::span<const std::string> models) {
  for (const std::string& model : models)
    if (absl::Status good = check_model(model); !good.ok()) return good;
  return absl::OkStatus();
}

absl::Status check_expiry(const std::optional<WallTime>& expires, WallTime now) {
  if (!expires || *expires > now) return absl::OkStatus();
  return absl::InvalidArgumentError("the key would have expired already");
}

}  // namespace

absl::StatusOr<Accounts::CreatedKey> Accounts::create_key(const NewKey& key) {
  if (absl::Status good = check_amounts(key.terms.limits, key.terms.budgets); !good.ok()) return good;
  if (absl::Status good = check_models(key.models); !good.ok()) return good;
  if (absl::Status good = check_expiry(key.expires, clock_.wall()); !good.ok()) return good;
  if (!key.name.empty())
    if (absl::Status good = check_name("key", key.name); !good.ok()) return good;
  const auto owner = user_for(key.owner, key.missing);
  if (!owner.ok()) return owner.status();
  identity::User* user = directory_.user(owner->id);
  if (user == nullptr) return absl::UnavailableError("the store is not loaded yet; try again soon");
  identity::NewSecret secret = identity::create_secret(identity::kApiKeyPrefix);
  CreatedKey made{.record = {.id = 0,
                             .user_id = owner->id,
                             .hash = secret.hash,
                             .hint = secret.hint,
                             .models = key.models,
                             .expires = key.expires,
                             .limits = key.terms.limits,
                             .created = clock_.wall(),
                             .revoked = {},
                             .suspended = {},
                             .name = key.name},
                  .secret = std::move(secret.text)};
  const auto id = store_.add_key(made.record, key.terms.budgets);
  if (!id.ok()) return id.status();
  made.record.id = *id;
  // The ledger knows the index before a worker can find the key: it is the next one, since keys come one after another.
  const identity::Allowance allowance{.limits = key.terms.limits, .budgets = key.terms.budgets, .model_budgets = {}};
  if (allowance != identity::Allowance{})
    ledger_.set_scope(Scope::kKey, directory_.keys(), *id, {}, allowance.limits, allowance.budgets);
  directory_.add_key({.id = *id,
                      .user = user,
                      .hash = made.record.hash,
                      .expires = key.expires,
                      .models = key.models,
                      .allowance = allowance});
  return made;
}

absl::StatusOr<store::KeyRecord> Accounts::unrevoked_key(std::uint64_t id) {
  auto found = store_.key(id);
  if (absl::IsNotFound(found.status()))
    return absl::NotFoundError("no key " + format_id(Scope::kKey, id) + "; see: sluice key list");
  if (found.ok() && found->revoked)
    return absl::FailedPreconditionError("key " + format_id(Scope::kKey, id) +
                                         " is revoked, which is for good; create another");
  return found;
}

absl::Status Accounts::update_key(std::uint64_t id, const KeyChange& change) {
  auto found = unrevoked_key(id);
  if (!found.ok()) return found.status();
  store::KeyRecord& key = *found;
  const WallTime now = clock_.wall();
  if (change.name) {
    if (absl::Status good = check_name("key", *change.name); !good.ok()) return good;
    key.name = *change.name;
  }
  if (change.limits) {
    if (absl::Status good = check_amounts(*change.limits, {}); !good.ok()) return good;
    key.limits = *change.limits;
  }
  if (change.expires) {
    if (absl::Status good = check_expiry(*change.expires, now); !good.ok()) return good;
    key.expires = *change.expires;
  }
  if (change.models) {
    if (absl::Status good = check_models(*change.models); !good.ok()) return good;
    key.models = *change.models;
  }
  if (absl::Status done = store_.update_key(key); !done.ok()) return done;
  identity::Key* known = directory_.key(id);
  if (known == nullptr) return absl::UnavailableError("the store is not loaded yet; try again soon");
  if (change.models) directory_.set_models(*known, key.models);
  if (change.expires) directory_.set_expires(*known, key.expires);
  if (change.limits)
    if (absl::Status done = refresh(Scope::kKey, id, key.limits); !done.ok()) return done;
  if (change.suspension == Suspension::kSuspend) return suspend_key(id);
  return change.suspension == Suspension::kResume ? resume_key(id) : absl::OkStatus();
}

absl::StatusOr<Accounts::CreatedKey> Accounts::rotate_key(std::uint64_t id, std::chrono::milliseconds grace) {
  auto found = unrevoked_key(id);
  if (!found.ok()) return found.status();
  identity::Key* known = directory_.key(id);
  if (known == nullptr) return absl::UnavailableError("the store is not loaded yet; try again soon");
  identity::NewSecret secret = identity::create_secret(identity::kApiKeyPrefix);
  const WallTime old_until = clock_.wall() + grace;
  if (absl::Status done = store_.rotate_key(id, secret.hash, secret.hint, old_until); !done.ok()) return done;
  if (directory_.rotate(*known, secret.hash, old_until) != identity::Added::kYes)
    return absl::InternalError("the new secret is another key's; rotate once more");
  const store::Revocation rotated{.when = clock_.wall(), .act = store::Revocation::Act::kRotate, .id = id};
  if (absl::Status written = store::write_down(revocations_, rotated); !written.ok()) return written;
  found = store_.key(id);
  if (!found.ok()) return found.status();
  return CreatedKey{.record = *std::move(found), .secret = std::move(secret.text)};
}

}  // namespace sluice::admin
