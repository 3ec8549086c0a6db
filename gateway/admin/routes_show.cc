// What the admin API shows of each thing, as JSON.
#include <algorithm>

#include "admin/routes.h"
#include "admin/text.h"
#include "config/values.h"

namespace sluice::admin {
namespace {

json::value time_or_null(const std::optional<WallTime>& time) {
  return time ? json::value(format_time(*time)) : json::value();
}
json::value count_or_null(const std::optional<std::uint64_t>& count) {
  return count ? json::value(*count) : json::value();
}

json::object show_limits(const LimitSpec& limits) {
  return {{"rpm", count_or_null(limits.requests_per_minute)},
          {"tpm", count_or_null(limits.tokens_per_minute)},
          {"concurrency", count_or_null(limits.concurrency)}};
}

json::array show_texts(const std::vector<std::string>& texts) { return json::array(texts.begin(), texts.end()); }

// Of the key alone: its user or tenant may be revoked too.
const char* state_of(const store::KeyRecord& key, WallTime now) {
  if (key.revoked) return "revoked";
  if (key.expires && *key.expires <= now) return "expired";
  return key.suspended ? "suspended" : "live";
}

const char* text_of_what(const ledger::Explanation& line) {
  using What = ledger::Explanation::What;
  switch (line.what) {
    case What::kRequests:
      return "requests per minute";
    case What::kTokens:
      return "tokens per minute";
    case What::kConcurrency:
      return "concurrent requests";
    case What::kBudget:
      break;
  }
  const bool tokens = line.unit == BudgetUnit::kTokens;
  switch (line.period) {
    case BudgetPeriod::kDay:
      return tokens ? "tokens per day" : "micro_usd per day";
    case BudgetPeriod::kMonth:
      return tokens ? "tokens per month" : "micro_usd per month";
    case BudgetPeriod::kTotal:
      break;
  }
  return tokens ? "tokens in all" : "micro_usd in all";
}

// A number that is none there is "unlimited": a budget that only warns has no hard amount.
json::value amount_or_null(std::uint64_t amount) { return amount > INT64_MAX ? json::value() : json::value(amount); }

}  // namespace

void Routes::add_allowance(json::object& into, Scope scope, std::uint64_t id, const LimitSpec& limits) {
  into["limits"] = show_limits(limits);
  json::array budgets;
  if (const auto own = backend_.store.budgets_of(scope, id); own.ok())
    for (const store::BudgetRecord& budget : *own) budgets.emplace_back(config::format_budget(budget.spec));
  into["budgets"] = std::move(budgets);
}

// "may_serve" and "tenants": for people as much as for scripts, so that a word stands where there is no list.
void Routes::add_binding(json::object& into, const identity::Binding& binding) {
  switch (binding.which) {
    case identity::BoundModels::kAny:
      into["may_serve"] = "any model";
      break;
    case identity::BoundModels::kListed:
      into["may_serve"] = show_texts(binding.models);
      break;
    case identity::BoundModels::kAsBefore: {
      json::array models{"(as before bindings)"};
      for (const std::string& model : binding.models) models.emplace_back(model);
      into["may_serve"] = std::move(models);
      break;
    }
  }
  json::array tenants;
  for (const std::uint64_t id : binding.tenants) {
    const identity::Tenant* tenant = backend_.directory.tenant(id);
    tenants.emplace_back(tenant == nullptr ? format_id(Scope::kTenant, id) : tenant->name);
  }
  into["tenants"] = binding.tenants.empty() ? json::value("all") : json::value(std::move(tenants));
}

json::object Routes::show(const store::TenantRecord& tenant) {
  json::object shown{{"id", format_id(Scope::kTenant, tenant.id)}, {"name", tenant.name}};
  add_allowance(shown, Scope::kTenant, tenant.id, tenant.limits);
  shown["created"] = format_time(tenant.created);
  shown["revoked"] = time_or_null(tenant.revoked);
  return shown;
}

json::object Routes::show(const store::UserRecord& user) {
  const auto names = backend_.accounts.names_of_user(user.id);
  json::object shown{
      {"id", format_id(Scope::kUser, user.id)}, {"name", user.name}, {"tenant", names ? names->tenant : ""}};
  add_allowance(shown, Scope::kUser, user.id, user.limits);
  shown["created"] = format_time(user.created);
  shown["revoked"] = time_or_null(user.revoked);
  return shown;
}

json::object Routes::show(const store::KeyRecord& key) {
  const auto names = backend_.accounts.names_of_user(key.user_id).value_or(SubjectName{});
  const WallTime now = backend_.clock.wall();
  json::object shown{{"id", format_id(Scope::kKey, key.id)},
                     {"name", key.name},
                     {"hint", key.hint},
                     {"state", state_of(key, now)},
                     {"tenant", names.tenant},
                     {"user", names.user},
                     {"models", show_texts(key.models)},
                     {"expires", time_or_null(key.expires)}};
  add_allowance(shown, Scope::kKey, key.id, key.limits);
  shown["created"] = format_time(key.created);
  shown["revoked"] = time_or_null(key.revoked);
  shown["suspended"] = time_or_null(key.suspended);
  // Until when the secret before the last rotation is good as well.
  const bool two = key.replaced && key.replaced->until > now;
  shown["old_secret_until"] = two ? json::value(format_time(key.replaced->until)) : json::value();
  return shown;
}

void Routes::add_owner(json::object& into, const store::BudgetRecord& budget) {
  const bool of_user = budget.scope == Scope::kUser || budget.scope == Scope::kUserModel;
  const bool of_nobody = budget.scope == Scope::kModel || (of_user && budget.subject == 0);
  into["id"] =
      of_nobody ? json::value() : json::value(format_id(of_user ? Scope::kUser : budget.scope, budget.subject));
  if (of_user && !of_nobody) {
    const auto names = backend_.accounts.names_of_user(budget.subject).value_or(SubjectName{});
    into["tenant"] = names.tenant;
    into["user"] = names.user;
  } else if (budget.scope == Scope::kTenant) {
    const identity::Tenant* tenant = backend_.directory.tenant(budget.subject);
    into["tenant"] = tenant == nullptr ? "" : tenant->name;
  } else if (budget.scope == Scope::kKey) {
    if (const identity::Key* key = backend_.directory.key(budget.subject)) {
      into["tenant"] = key->user->tenant->name;
      into["user"] = key->user->name;
    }
  }
  if (!budget.model.empty()) into["model"] = budget.model;
}

json::object Routes::show(const BudgetStanding& standing) {
  const store::BudgetRecord& budget = standing.budget;
  const bool each_user = budget.scope == Scope::kUserModel && budget.subject == 0;
  json::object shown{{"scope", each_user ? "each_user_on_model" : to_string(budget.scope)}};
  add_owner(shown, budget);
  shown["budget"] = config::format_budget(budget.spec);
  shown["unit"] = budget.spec.unit == BudgetUnit::kTokens ? "tokens" : "micro_usd";
  shown["amount"] = budget.spec.amount;
  shown["soft"] = budget.spec.soft;
  shown["set_by"] = standing.set_by == SetBy::kConf ? "conf" : "command";
  if (each_user) return shown;  // what each has used is a row of its own
  const std::uint64_t used = standing.now ? standing.now->used : 0,
                      reserved = standing.now ? standing.now->reserved : 0;
  shown["used"] = used;
  shown["reserved"] = reserved;
  shown["left"] = budget.spec.amount - std::min(budget.spec.amount, used + reserved);
  return shown;
}

json::object Routes::show(const ledger::Explanation& line, WallTime now) {
  json::object shown{
      {"what", text_of_what(line)}, {"scope", to_string(line.scope)},      {"name", line.name},
      {"model", line.model},        {"limit", amount_or_null(line.limit)}, {"warns_at", amount_or_null(line.soft)},
      {"used", line.used},          {"reserved", line.reserved},           {"left", amount_or_null(line.left)},
      {"resets", nullptr}};
  if (line.what != ledger::Explanation::What::kBudget) {
    if (line.what != ledger::Explanation::What::kConcurrency) shown["resets"] = format_time(now + line.reset);
  } else if (line.period != BudgetPeriod::kTotal) {
    shown["resets"] = format_time(WallTime(std::chrono::microseconds(line.when.end_us)));
  }
  return shown;
}

}  // namespace sluice::admin
