#include "server/callers.h"

#include <map>
#include <set>
#include <utility>

namespace sluice::server {
namespace {

using Budgets = std::map<std::pair<Scope, std::uint64_t>, std::vector<store::BudgetRecord>>;

// What the store holds against one subject. A user's budgets on single models come with it.
identity::Allowance allowance_of(const Budgets& budgets, Scope scope, std::uint64_t id, const LimitSpec& limits) {
  identity::Allowance allowance{.limits = limits, .budgets = {}, .model_budgets = {}};
  if (const auto found = budgets.find({scope, id}); found != budgets.end()) {
    for (const store::BudgetRecord& record : found->second) allowance.budgets.push_back(record.spec);
  }
  if (scope != Scope::kUser) return allowance;
  if (const auto found = budgets.find({Scope::kUserModel, id}); found != budgets.end()) {
    for (const store::BudgetRecord& record : found->second)
      allowance.model_budgets.push_back({record.model, record.spec});
  }
  return allowance;
}

// One sum as the state of a budget in each unit: which of them has a budget, the ledger knows.
void append_states(const ledger::UsageSum& sum, BudgetPeriod period, ledger::Period when,
                   std::vector<ledger::BudgetState>& into) {
  ledger::BudgetState state{.scope = sum.scope, .id = sum.id, .model = sum.model, .period = period, .when = when};
  state.unit = BudgetUnit::kTokens;
  state.settled = sum.tokens;
  into.push_back(state);
  state.unit = BudgetUnit::kMicroUsd;
  state.settled = sum.cost_micros;
  into.push_back(std::move(state));
}

}  // namespace

absl::Status load_callers(store::Store& store, identity::KeyDirectory& directory) {
  auto records = store.budgets();
  if (!records.ok()) return records.status();
  Budgets budgets;
  for (store::BudgetRecord& record : *records) budgets[{record.scope, record.subject}].push_back(std::move(record));
  absl::Status status = store.each_tenant([&](store::TenantRecord&& tenant) {
    directory.add_tenant(tenant.id, std::move(tenant.name),
                         allowance_of(budgets, Scope::kTenant, tenant.id, tenant.limits), tenant.revoked.has_value());
  });
  if (!status.ok()) return status;
  status = store.each_user([&](store::UserRecord&& user) {
    const identity::Tenant* const tenant = directory.tenant(user.tenant_id);
    if (tenant == nullptr) return;
    directory.add_user(user.id, *tenant, std::move(user.name),
                       allowance_of(budgets, Scope::kUser, user.id, user.limits), user.revoked.has_value());
  });
  if (!status.ok()) return status;
  status = store.each_key([&](store::KeyRecord&& key) {
    const identity::User* const user = directory.user(key.user_id);
    if (user == nullptr) return;
    directory.add_key({.id = key.id,
                       .user = user,
                       .hash = key.hash,
                       .expires = key.expires,
                       .models = std::move(key.models),
                       .allowance = allowance_of(budgets, Scope::kKey, key.id, key.limits),
                       .revoked = key.revoked.has_value()});
  });
  if (status.ok()) directory.loaded();
  return status;
}

absl::Status restore_budgets(store::Store& store, ledger::Ledger& ledger) {
  std::vector<ledger::BudgetState> states;
  const WallTime now = ledger.clock().wall();
  for (const BudgetPeriod period : {BudgetPeriod::kDay, BudgetPeriod::kMonth, BudgetPeriod::kTotal}) {
    const ledger::Period when = ledger::period_of(period, now, ledger.zone());
    auto sums = store.sums(when.begin_us);
    if (!sums.ok()) return sums.status();
    for (const ledger::UsageSum& sum : *sums) append_states(sum, period, when, states);
  }
  ledger.restore(states);
  return absl::OkStatus();
}

}  // namespace sluice::server
