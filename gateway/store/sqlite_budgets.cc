#include "store/sqlite_parts.h"

namespace sluice::store {

namespace {

#define BUDGET_COLUMNS "scope, subject, model, unit, period, soft, amount"

absl::StatusOr<std::vector<BudgetRecord>> read_budgets(Statement& rows) {
  std::vector<BudgetRecord> budgets;
  while (rows.next())
    budgets.push_back({.scope = static_cast<Scope>(rows.number(0)),
                       .subject = rows.count(1),
                       .model = std::string(rows.text(2)),
                       .spec = {.unit = static_cast<BudgetUnit>(rows.number(3)),
                                .period = static_cast<BudgetPeriod>(rows.number(4)),
                                .amount = rows.count(6),
                                .soft = rows.number(5) != 0}});
  if (!rows.status().ok()) return rows.status();
  return budgets;
}

}  // namespace

absl::StatusOr<std::vector<BudgetRecord>> SqliteStore::budgets() {
  Statement all(database_, "SELECT " BUDGET_COLUMNS " FROM budgets");
  return read_budgets(all);
}

absl::StatusOr<std::vector<BudgetRecord>> SqliteStore::budgets_of(Scope scope, std::uint64_t subject) {
  Statement rows(database_, "SELECT " BUDGET_COLUMNS " FROM budgets WHERE scope = ? AND subject = ?");
  return read_budgets(rows.bind(static_cast<int>(scope), subject));
}

absl::Status SqliteStore::set_budget(const BudgetRecord& budget) {
  Statement set(database_,
                "INSERT INTO budgets (scope, subject, model, unit, period, soft, amount) VALUES (?,?,?,?,?,?,?)"
                " ON CONFLICT DO UPDATE SET amount = excluded.amount");
  const BudgetSpec& spec = budget.spec;
  return set
      .bind(static_cast<int>(budget.scope), budget.subject, budget.model, static_cast<int>(spec.unit),
            static_cast<int>(spec.period), spec.soft, spec.amount)
      .run();
}

absl::Status SqliteStore::remove_budget(const BudgetRecord& budget) {
  Statement remove(database_,
                   "DELETE FROM budgets WHERE scope = ? AND subject = ? AND model = ? AND unit = ? AND period = ?"
                   " AND soft = ?");
  const BudgetSpec& spec = budget.spec;
  remove.bind(static_cast<int>(budget.scope), budget.subject, budget.model, static_cast<int>(spec.unit),
              static_cast<int>(spec.period), spec.soft);
  if (absl::Status done = remove.run(); !done.ok()) return done;
  return expect_change(database_, "no such budget");
}

}  // namespace sluice::store
