// The part of Accounts that carries the store's content to the directory and the ledger.
#include <algorithm>

#include "admin/accounts.h"

namespace sluice::admin {

identity::Subject* Accounts::subject(Scope scope, std::uint64_t id) noexcept {
  switch (scope) {
    case Scope::kTenant:
      return directory_.tenant(id);
    case Scope::kUser:
      return directory_.user(id);
    default:
      return directory_.key(id);
  }
}

identity::Allowance Accounts::allowance_of(const LimitSpec& limits, const BudgetsOf& budgets, Scope scope,
                                           std::uint64_t id) {
  identity::Allowance allowance{.limits = limits, .budgets = {}, .model_budgets = {}};
  if (const auto own = budgets.find({scope, id}); own != budgets.end())
    for (const store::BudgetRecord& budget : own->second) allowance.budgets.push_back(budget.spec);
  if (scope != Scope::kUser) return allowance;
  if (const auto own = budgets.find({Scope::kUserModel, id}); own != budgets.end())
    for (const store::BudgetRecord& budget : own->second)
      allowance.model_budgets.push_back({.model = budget.model, .budget = budget.spec});
  return allowance;
}

absl::Status Accounts::load() {
  auto records = store_.budgets();
  if (!records.ok()) return records.status();
  BudgetsOf budgets;
  for (store::BudgetRecord& record : *records) budgets[{record.scope, record.subject}].push_back(std::move(record));
  // What an earlier try has added already is passed over.
  absl::Status done = store_.each_tenant([&](store::TenantRecord&& record) {
    if (directory_.tenant(record.id) != nullptr) return;
    tell_ledger(directory_.add_tenant(record.id, std::move(record.name),
                                      allowance_of(record.limits, budgets, Scope::kTenant, record.id),
                                      record.revoked.has_value()));
  });
  if (!done.ok()) return done;
  done = store_.each_user(0, [&](store::UserRecord&& record) {
    const identity::Tenant* tenant = directory_.tenant(record.tenant_id);
    if (tenant == nullptr || directory_.user(record.id) != nullptr) return;
    tell_ledger(directory_.add_user(record.id, *tenant, std::move(record.name),
                                    allowance_of(record.limits, budgets, Scope::kUser, record.id),
                                    record.revoked.has_value()));
  });
  if (!done.ok()) return done;
  return store_.each_key([&](store::KeyRecord&& record) {
    const identity::User* user = directory_.user(record.user_id);
    if (user == nullptr) return;
    const auto added =
        directory_.add_key({.id = record.id,
                            .user = user,
                            .hash = record.hash,
                            .expires = record.expires,
                            .models = std::move(record.models),
                            .allowance = allowance_of(record.limits, budgets, Scope::kKey, record.id),
                            .revoked = record.revoked.has_value(),
                            .suspended = record.suspended.has_value(),
                            .old_hash = record.replaced ? std::optional(record.replaced->hash) : std::nullopt,
                            .old_until = record.replaced ? record.replaced->until : WallTime()});
    if (added == identity::Added::kYes) tell_ledger(*directory_.key(record.id));
  });
}

// Most have no limits and no budgets, and the ledger need not hear of them.
void Accounts::tell_ledger(const identity::Tenant& tenant) {
  if (tenant.allowance() != identity::Allowance{})
    ledger_.set_scope(Scope::kTenant, tenant.index, tenant.id, tenant.name, tenant.limits(), tenant.budgets());
}
void Accounts::tell_ledger(const identity::User& user) {
  if (user.allowance() != identity::Allowance{})
    ledger_.set_scope(Scope::kUser, user.index, user.id, user.name, user.limits(), user.budgets());
}
void Accounts::tell_ledger(const identity::Key& key) {
  if (key.allowance() != identity::Allowance{})
    ledger_.set_scope(Scope::kKey, key.index, key.id, {}, key.limits(), key.budgets());
}

void Accounts::apply(identity::Tenant& tenant, identity::Allowance allowance) {
  directory_.set_allowance(tenant, std::move(allowance));
  ledger_.set_scope(Scope::kTenant, tenant.index, tenant.id, tenant.name, tenant.limits(), tenant.budgets());
}
void Accounts::apply(identity::User& user, identity::Allowance allowance) {
  const std::vector<identity::ModelBudget>& before = user.model_budgets();  // kept by the directory
  directory_.set_allowance(user, std::move(allowance));
  ledger_.set_scope(Scope::kUser, user.index, user.id, user.name, user.limits(), user.budgets());
  tell_user_models(user, before);
}
void Accounts::apply(identity::Key& key, identity::Allowance allowance) {
  directory_.set_allowance(key, std::move(allowance));
  ledger_.set_scope(Scope::kKey, key.index, key.id, {}, key.limits(), key.budgets());
}

// Models that have lost their last budget of this user go back to the conf's user_budgets.
void Accounts::tell_user_models(const identity::User& user, const std::vector<identity::ModelBudget>& before) {
  if (!model_index_) return;
  std::map<std::string, std::vector<BudgetSpec>> of_model;
  for (const identity::ModelBudget& budget : before) of_model[budget.model];
  for (const identity::ModelBudget& budget : user.model_budgets()) of_model[budget.model].push_back(budget.budget);
  for (const auto& [model, budgets] : of_model)
    if (const auto index = model_index_(model)) ledger_.set_user_model(user.index, user.id, user.name, *index, budgets);
}

void Accounts::set_models(ModelIndex index, std::vector<ConfModel> conf_models) {
  model_index_ = std::move(index);
  conf_models_ = std::move(conf_models);
  const auto records = store_.budgets();
  if (!records.ok()) return;
  for (const store::BudgetRecord& record : *records)
    if (record.scope == Scope::kUserModel)
      if (const identity::User* user = directory_.user(record.subject)) tell_user_models(*user, {});
}

absl::Status Accounts::refresh(Scope scope, std::uint64_t id, const std::optional<LimitSpec>& limits) {
  const identity::Subject* known = subject(scope, id);
  if (known == nullptr) return absl::NotFoundError("the store is not loaded yet; try again soon");
  BudgetsOf budgets;
  for (const Scope kind : {scope, scope == Scope::kUser ? Scope::kUserModel : scope}) {
    auto records = store_.budgets_of(kind, id);
    if (!records.ok()) return records.status();
    budgets[{kind, id}] = std::move(*records);
  }
  identity::Allowance allowance = allowance_of(limits.value_or(known->limits()), budgets, scope, id);
  switch (scope) {
    case Scope::kTenant:
      apply(*directory_.tenant(id), std::move(allowance));
      break;
    case Scope::kUser:
      apply(*directory_.user(id), std::move(allowance));
      break;
    default:
      apply(*directory_.key(id), std::move(allowance));
  }
  return absl::OkStatus();
}

}  // namespace sluice::admin
