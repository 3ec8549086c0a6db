// The admin API of budgets, and of what stands in a call's way.
#include "admin/fields.h"
#include "admin/routes.h"

namespace sluice::admin {

Routes::Made Routes::list_budgets(const Principal&, const Request&) {
  const auto standings = backend_.accounts.budgets();
  if (!standings.ok()) return standings.status();
  json::array all;
  for (const BudgetStanding& standing : *standings) all.push_back(show(standing));
  return all;
}

Routes::Made Routes::budget(const Principal&, const Request& request) {
  Fields fields(request.body);
  const SubjectName name{.tenant = fields.text("tenant"), .user = fields.text("user")};
  const std::string key = fields.text("key");
  store::BudgetRecord budget{
      .scope = Scope::kTenant, .subject = 0, .model = fields.text("model"), .spec = fields.budget()};
  if (absl::Status good = fields.finish(); !good.ok()) return good;
  if (!key.empty()) {
    const auto id = key_id(key);
    if (!id.ok()) return id.status();
    budget.scope = Scope::kKey;
    budget.subject = *id;
  } else if (!name.user.empty()) {
    const auto user = backend_.accounts.user(name);
    if (!user.ok()) return user.status();
    budget.scope = budget.model.empty() ? Scope::kUser : Scope::kUserModel;
    budget.subject = user->id;
  } else if (!name.tenant.empty()) {
    const auto tenant = backend_.accounts.tenant(name.tenant);
    if (!tenant.ok()) return tenant.status();
    budget.subject = tenant->id;
  } else {
    return absl::InvalidArgumentError(
        "say whose budget: --key ID, --tenant T --user U (with --model M: on that model), or --tenant T");
  }
  if (!budget.model.empty() && budget.scope != Scope::kUserModel)
    return absl::InvalidArgumentError(
        "--model goes with a user; budgets of a model stand in the conf file: [[model]] budgets");
  const auto standing =
      request.method == "PUT" ? backend_.accounts.set_budget(budget) : backend_.accounts.remove_budget(budget);
  if (!standing.ok()) return standing.status();
  json::object shown = show(*standing);
  if (request.method == "PUT" && backend_.accounts.charges_nothing(budget))
    shown["warning"] = "nothing will be charged to it until " + (budget.model.empty() ? "a model" : budget.model) +
                       " has a price: price_prompt and price_completion of a [[model]] in the conf file";
  return shown;
}

Routes::Made Routes::explain(const Principal&, const Request& request) {
  const auto id = key_id(query_of(request, "key"));
  if (!id.ok()) return id.status();
  const auto lines = backend_.accounts.explain(*id, query_of(request, "model"));
  if (!lines.ok()) return lines.status();
  json::array all;
  for (const ledger::Explanation& line : *lines) all.push_back(show(line, backend_.clock.wall()));
  return all;
}

}  // namespace sluice::admin
