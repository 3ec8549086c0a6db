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

absl::Status SqliteStore::save_budget_use(std::span<const BudgetUse> use) {
  Transaction transaction(database_);
  if (!transaction.status().ok()) return transaction.status();
  Statement save(database_, "INSERT INTO budget_usage (scope, subject, model, unit, period, period_begin_us, used)"
                            " VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET used = excluded.used");
  for (const BudgetUse& one : use) {
    save.bind(static_cast<int>(one.scope), one.subject, one.model, static_cast<int>(one.unit), static_cast<int>(one.period),
              one.period_begin, one.used);
    if (absl::Status saved = save.run(); !saved.ok()) return saved;
    save.rewind();
  }
  return transaction.commit();
}

absl::StatusOr<std::vector<BudgetUse>> SqliteStore::budget_use() {
  Statement all(database_, "SELECT scope, subject, model, unit, period, period_begin_us, used FROM budget_usage");
  std::vector<BudgetUse> use;
  while (all.next())
    use.push_back({.scope = static_cast<Scope>(all.number(0)), .subject = all.count(1), .model = std::string(all.text(2)),
                   .unit = static_cast<BudgetUnit>(all.number(3)), .period = static_cast<BudgetPeriod>(all.number(4)),
                   .period_begin = all.time(5), .used = all.count(6)});
  if (!all.status().ok()) return all.status();
  return use;
}

}  // namespace sluice::store
