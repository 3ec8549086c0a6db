#include "admin/accounts.h"

#include <algorithm>
#include <ranges>

#include "admin/text.h"

namespace sluice::admin {
namespace {

absl::Status no_tenant(std::string_view name) {
  return absl::NotFoundError("no tenant " + std::string(name) + "; see: sluice tenant list");
}
absl::Status no_user(const SubjectName& name) {
  return absl::NotFoundError("no user " + name.user + (name.tenant.empty() ? "" : " in tenant " + name.tenant) +
                             "; see: sluice user list");
}

}  // namespace

absl::StatusOr<store::TenantRecord> Accounts::create_tenant(const std::string& name, const Terms& terms) {
  if (absl::Status good = check_name("tenant", name); !good.ok()) return good;
  if (absl::Status good = check_amounts(terms.limits, terms.budgets); !good.ok()) return good;
  store::TenantRecord record{.id = 0, .name = name, .limits = terms.limits, .created = clock_.wall(), .revoked = {}};
  const auto id = store_.add_tenant(record);
  if (!id.ok()) return id.status();
  record.id = *id;
  directory_.add_tenant(*id, name, {});
  for (const BudgetSpec& spec : terms.budgets) {
    const absl::Status set = store_.set_budget({.scope = Scope::kTenant, .subject = *id, .model = {}, .spec = spec});
    if (!set.ok()) return set;
  }
  if (absl::Status done = refresh(Scope::kTenant, *id, record.limits); !done.ok()) return done;
  return record;
}

absl::StatusOr<store::UserRecord> Accounts::create_user(const SubjectName& name, const Terms& terms, Missing missing) {
  if (absl::Status good = check_name("user", name.user); !good.ok()) return good;
  if (absl::Status good = check_amounts(terms.limits, terms.budgets); !good.ok()) return good;
  auto owner = tenant(name.tenant);
  const bool gone =
      owner.ok() && owner->revoked.has_value() && owner->name == name.tenant;  // a revoked name is free again
  if ((absl::IsNotFound(owner.status()) || gone) && missing == Missing::kCreate) owner = create_tenant(name.tenant, {});
  if (!owner.ok()) return owner.status();
  if (owner->revoked) return absl::FailedPreconditionError("tenant " + owner->name + " is revoked");
  store::UserRecord record{.id = 0,
                           .tenant_id = owner->id,
                           .name = name.user,
                           .limits = terms.limits,
                           .created = clock_.wall(),
                           .revoked = {}};
  const auto id = store_.add_user(record);
  if (!id.ok()) return id.status();
  record.id = *id;
  directory_.add_user(*id, *directory_.tenant(owner->id), name.user, {});
  for (const BudgetSpec& spec : terms.budgets) {
    const absl::Status set = store_.set_budget({.scope = Scope::kUser, .subject = *id, .model = {}, .spec = spec});
    if (!set.ok()) return set;
  }
  if (absl::Status done = refresh(Scope::kUser, *id, record.limits); !done.ok()) return done;
  return record;
}

absl::StatusOr<store::TenantRecord> Accounts::tenant(std::string_view name_or_id) {
  const auto id = parse_id(Scope::kTenant, name_or_id);
  auto found = id ? store_.tenant(*id) : store_.find_tenant(name_or_id);
  return absl::IsNotFound(found.status()) ? no_tenant(name_or_id) : found;
}

absl::StatusOr<store::UserRecord> Accounts::user(const SubjectName& name) {
  if (const auto id = parse_id(Scope::kUser, name.user)) {
    auto found = store_.user(*id);
    return absl::IsNotFound(found.status()) ? no_user(name) : found;
  }
  if (name.tenant.empty())
    return absl::InvalidArgumentError("say whose user " + name.user +
                                      " is: --tenant NAME, or give an id such as user_12");
  const auto owner = tenant(name.tenant);
  if (!owner.ok()) return owner.status();
  auto found = store_.find_user(owner->id, name.user);
  return absl::IsNotFound(found.status()) ? no_user(name) : found;
}

absl::StatusOr<store::UserRecord> Accounts::user_for(const SubjectName& name, Missing missing) {
  auto found = user(name);
  const identity::User* known = found.ok() ? directory_.user(found->id) : nullptr;
  const bool gone = known != nullptr && (known->revoked || known->tenant->revoked);
  if ((absl::IsNotFound(found.status()) || gone) && missing == Missing::kCreate) return create_user(name, {}, missing);
  if (absl::IsNotFound(found.status()))
    return absl::NotFoundError(std::string(found.status().message()) + ", or add --create");
  if (gone) return absl::FailedPreconditionError("user " + name.user + " or its tenant is revoked");
  return found;
}

absl::Status Accounts::revoke(Scope scope, std::uint64_t id) {
  using Of = store::Revocation::Of;
  const WallTime now = clock_.wall();
  Of of = Of::kKey;
  // The store first: a revocation that a restart would forget must not be reported as done.
  if (absl::Status done = store_.revoke(scope, id, now); !done.ok()) return done;
  switch (scope) {
    case Scope::kTenant:
      of = Of::kTenant;
      if (auto* tenant = directory_.tenant(id)) directory_.revoke(*tenant);
      break;
    case Scope::kUser:
      of = Of::kUser;
      if (auto* user = directory_.user(id)) directory_.revoke(*user);
      break;
    default:
      if (auto* key = directory_.key(id)) directory_.revoke(*key);
  }
  return store::write_down(revocations_, {.when = now, .of = of, .id = id});
}

absl::Status Accounts::suspend_key(std::uint64_t id) {
  const WallTime now = clock_.wall();
  if (absl::Status done = store_.set_suspended(id, now); !done.ok()) return done;
  if (auto* key = directory_.key(id)) directory_.suspend(*key);
  return store::write_down(revocations_, {.when = now, .act = store::Revocation::Act::kSuspend, .id = id});
}

absl::Status Accounts::resume_key(std::uint64_t id) {
  if (absl::Status done = store_.set_suspended(id, std::nullopt); !done.ok()) return done;
  if (auto* key = directory_.key(id)) directory_.resume(*key);
  return store::write_down(revocations_, {.when = clock_.wall(), .act = store::Revocation::Act::kResume, .id = id});
}

absl::StatusOr<store::KeysAndAgents> Accounts::resume_restored() {
  auto resumed = store_.resume_restored();
  if (!resumed.ok()) return resumed;
  for (const std::uint64_t id : resumed->keys)
    if (auto* key = directory_.key(id)) directory_.resume(*key);
  return resumed;
}

absl::Status Accounts::set_limits(Scope scope, std::uint64_t id, const LimitSpec& limits) {
  if (absl::Status good = check_amounts(limits, {}); !good.ok()) return good;
  if (absl::Status done = store_.set_limits(scope, id, limits); !done.ok()) return done;
  return refresh(scope, id, limits);
}

std::optional<SubjectName> Accounts::names_of_user(std::uint64_t user_id) {
  const identity::User* user = directory_.user(user_id);
  if (user == nullptr) return std::nullopt;
  return SubjectName{.tenant = user->tenant->name, .user = user->name};
}

}  // namespace sluice::admin
