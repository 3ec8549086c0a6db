#include "store/sqlite_parts.h"

namespace sluice::store {

absl::StatusOr<std::vector<BudgetRecord>> SqliteStore::budgets() {
  Statement all(database_, "SELECT scope, subject, model, unit, period, soft, amount FROM budgets");
  std::vector<BudgetRecord> budgets;
  while (all.next())
    budgets.push_back({.scope = static_cast<Scope>(all.number(0)), .subject = all.count(1), .model = std::string(all.text(2)),
                       .spec = {.unit = static_cast<BudgetUnit>(all.number(3)),
                                .period = static_cast<BudgetPeriod>(all.number(4)), .amount = all.count(6),
                                .soft = all.number(5) != 0}});
  if (!all.status().ok()) return all.status();
  return budgets;
}

absl::Status SqliteStore::set_budget(const BudgetRecord& budget) {
  Statement set(database_, "INSERT INTO budgets (scope, subject, model, unit, period, soft, amount) VALUES (?,?,?,?,?,?,?)"
                           " ON CONFLICT DO UPDATE SET amount = excluded.amount");
  const BudgetSpec& spec = budget.spec;
  return set.bind(static_cast<int>(budget.scope), budget.subject, budget.model, static_cast<int>(spec.unit),
                  static_cast<int>(spec.period), spec.soft, spec.amount).run();
}

absl::Status SqliteStore::remove_budget(const BudgetRecord& budget) {
  Statement remove(database_, "DELETE FROM budgets WHERE scope = ? AND subject = ? AND model = ? AND unit = ? AND period = ?"
                              " AND soft = ?");
  const BudgetSpec& spec = budget.spec;
  remove.bind(static_cast<int>(budget.scope), budget.subject, budget.model, static_cast<int>(spec.unit),
              static_cast<int>(spec.period), spec.soft);
  if (absl::Status done = remove.run(); !done.ok()) return done;
  return expect_change(database_, "no such budget");
}

}  // namespace sluice::store
