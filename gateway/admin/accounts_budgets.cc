// The part of Accounts that is about budgets: changing them, and how they stand.
#include <algorithm>

#include "admin/accounts.h"
#include "admin/text.h"

namespace sluice::admin {
namespace {

// One subject has one budget of a kind, whatever its amount.
bool is_same_kind(const BudgetSpec& a, const BudgetSpec& b) noexcept {
  return a.unit == b.unit && a.period == b.period && a.soft == b.soft;
}

}  // namespace

absl::Status Accounts::check_budget(const store::BudgetRecord& budget) {
  if (budget.scope == Scope::kModel)
    return absl::InvalidArgumentError("budgets of a model stand in the conf file: [[model]] budgets");
  if (budget.scope == Scope::kUserModel)
    if (absl::Status good = check_model(budget.model); !good.ok()) return good;
  if (absl::Status good = check_amounts({}, std::span(&budget.spec, 1)); !good.ok()) return good;
  const Scope owner = budget.scope == Scope::kUserModel ? Scope::kUser : budget.scope;
  if (subject(owner, budget.subject) == nullptr)
    return absl::NotFoundError(std::string("no ") + to_string(owner) + " " + format_id(owner, budget.subject));
  return absl::OkStatus();
}

absl::Status Accounts::change_budgets(const store::BudgetRecord& budget) {
  absl::Status refreshed;
  const auto set = [&] {
    refreshed = refresh(budget.scope == Scope::kUserModel ? Scope::kUser : budget.scope, budget.subject, {});
  };
  if (!budget_change_) {
    set();
  } else if (absl::Status known = budget_change_(set); !known.ok()) {
    return absl::UnavailableError("the budget holds, but what its period has used could not be read: " +
                                  std::string(known.message()) + "; it will be at the next start");
  }
  return refreshed;
}

absl::StatusOr<BudgetStanding> Accounts::set_budget(const store::BudgetRecord& budget) {
  if (absl::Status good = check_budget(budget); !good.ok()) return good;
  if (absl::Status done = store_.set_budget(budget); !done.ok()) return done;
  if (absl::Status changed = change_budgets(budget); !changed.ok()) return changed;
  return BudgetStanding{.budget = budget, .now = standing(budget)};
}

bool Accounts::charges_nothing(const store::BudgetRecord& budget) const noexcept {
  return budget.spec.unit == BudgetUnit::kMicroUsd && std::ranges::none_of(conf_models_, [&](const ConfModel& model) {
           return model.price != Price() && (budget.model.empty() || budget.model == model.name);
         });
}

absl::StatusOr<BudgetStanding> Accounts::remove_budget(const store::BudgetRecord& budget) {
  if (absl::Status good = check_budget(budget); !good.ok()) return good;
  const auto there = store_.budgets_of(budget.scope, budget.subject);
  if (!there.ok()) return there.status();
  const auto found = std::ranges::find_if(*there, [&](const store::BudgetRecord& one) {
    return one.model == budget.model && is_same_kind(one.spec, budget.spec);
  });
  if (found == there->end()) return absl::NotFoundError("there is no such budget; see: sluice budget list");
  BudgetStanding lifted{.budget = *found, .now = standing(*found)};
  if (absl::Status done = store_.remove_budget(budget); !done.ok()) return done;
  if (absl::Status changed = change_budgets(budget); !changed.ok()) return changed;
  return lifted;
}

absl::StatusOr<std::vector<BudgetStanding>> Accounts::budgets() {
  auto records = store_.budgets();
  if (!records.ok()) return records.status();
  std::vector<BudgetStanding> all;
  all.reserve(records->size());
  for (store::BudgetRecord& record : *records) {
    std::optional<ledger::Explanation> now = standing(record);
    all.push_back({.budget = std::move(record), .now = std::move(now)});
  }
  for (const ConfModel& model : conf_models_) append_model_budgets(model, all);
  append_user_shares(all);
  return all;
}

void Accounts::append_model_budgets(const ConfModel& model, std::vector<BudgetStanding>& into) {
  for (const BudgetSpec& spec : model.budgets) {
    const store::BudgetRecord record{.scope = Scope::kModel, .subject = 0, .model = model.name, .spec = spec};
    into.push_back({.budget = record, .now = standing(record), .set_by = SetBy::kConf});
  }
  for (const BudgetSpec& spec : model.user_budgets)
    into.push_back({.budget = {.scope = Scope::kUserModel, .subject = 0, .model = model.name, .spec = spec},
                    .now = {},
                    .set_by = SetBy::kConf});
}

// What is used of the conf's user_budgets, by each user who has used any of them.
void Accounts::append_user_shares(std::vector<BudgetStanding>& into) {
  const auto model_of = [&](const ledger::BudgetState& use) {
    return std::ranges::find(conf_models_, use.model, &ConfModel::name);
  };
  const auto in_conf = [&](const ledger::BudgetState& use) {
    const auto model = model_of(use);
    if (model == conf_models_.end() || std::ranges::none_of(model->user_budgets, [&](const BudgetSpec& spec) {
          return spec.unit == use.unit && spec.period == use.period;
        }))
      return false;
    const identity::User* user = directory_.user(use.id);
    return user != nullptr && std::ranges::find(user->model_budgets(), use.model, &identity::ModelBudget::model) ==
                                  user->model_budgets().end();
  };
  for (const ledger::BudgetState& use : ledger_.user_model_use(in_conf)) {
    for (const BudgetSpec& spec : model_of(use)->user_budgets) {
      if (spec.unit != use.unit || spec.period != use.period) continue;
      const store::BudgetRecord record{.scope = Scope::kUserModel, .subject = use.id, .model = use.model, .spec = spec};
      auto now = standing(record);
      // Of one who has not called since the start the ledger knows what was used, and keeps no account yet.
      if (!now) now.emplace().used = use.settled;
      into.push_back({.budget = record, .now = std::move(now), .set_by = SetBy::kConf});
    }
  }
}

absl::StatusOr<std::vector<ledger::Explanation>> Accounts::explain(std::uint64_t key_id, const std::string& model) {
  const identity::Key* key = directory_.key(key_id);
  if (key == nullptr) return absl::NotFoundError("no key " + format_id(Scope::kKey, key_id) + "; see: sluice key list");
  const identity::User& user = *key->user;
  ledger::Scopes scopes{
      .key = key->index, .user = user.index, .tenant = user.tenant->index, .user_id = user.id, .user_name = user.name};
  if (!model.empty()) {
    const auto index = model_index_ ? model_index_(model) : std::nullopt;
    if (!index) return absl::NotFoundError("no model " + model + " is known; see: sluice models");
    scopes.model = *index;
  }
  return ledger_.explain(scopes);
}

std::optional<ledger::Explanation> Accounts::standing(const store::BudgetRecord& budget) {
  ledger::Scopes scopes;
  const Scope owner = budget.scope == Scope::kUserModel ? Scope::kUser : budget.scope;
  if (owner != Scope::kModel && subject(owner, budget.subject) == nullptr) return std::nullopt;
  switch (owner) {
    case Scope::kModel:
      break;
    case Scope::kTenant:
      scopes.tenant = directory_.tenant(budget.subject)->index;
      break;
    case Scope::kUser: {
      const identity::User& user = *directory_.user(budget.subject);
      scopes.user = user.index;
      scopes.user_id = user.id;
      scopes.user_name = user.name;
      break;
    }
    default:
      scopes.key = directory_.key(budget.subject)->index;
  }
  if (!budget.model.empty()) {
    const auto model = model_index_ ? model_index_(budget.model) : std::nullopt;
    if (!model) return std::nullopt;
    scopes.model = *model;
  }
  for (ledger::Explanation& line : ledger_.explain(scopes))
    if (line.what == ledger::Explanation::What::kBudget && line.scope == budget.scope &&
        line.unit == budget.spec.unit && line.period == budget.spec.period)
      return std::move(line);
  return std::nullopt;
}

}  // namespace sluice::admin
