// Ledger: what the control threads do: amounts, restoring, sweeping; and the cells of a user on a model, which the
// first call makes.
#include <algorithm>
#include <utility>

#include "ledger/ledger.h"

namespace sluice::ledger {
namespace {

std::uint64_t pair_key(std::uint32_t user, std::uint32_t model) noexcept {
  return (static_cast<std::uint64_t>(user) << 32) | model;
}

// What `whole` asks for holds what `part` does: one user on a model is among all of them.
bool covers(const PastUse& whole, const PastUse& part) {
  return whole.period == part.period && whole.query.scope == part.query.scope &&
         whole.query.model == part.query.model && (whole.query.id == part.query.id || whole.query.id == 0);
}

bool has_kind_beside(const std::vector<BudgetSpec>& specs, const std::vector<BudgetSpec>& before) {
  return std::any_of(specs.begin(), specs.end(), [&](const BudgetSpec& spec) {
    return std::none_of(before.begin(), before.end(),
                        [&](const BudgetSpec& old) { return old.unit == spec.unit && old.period == spec.period; });
  });
}

}  // namespace

Ledger::Ledger(const Clock& clock, Options options, LedgerEvents* events)
    : clock_(clock),
      zone_(options.zone),
      events_(events),
      slice_(std::max<std::uint64_t>(options.slice, 1)),
      warn_percent_(options.warn_percent),
      days_(nobody_, BudgetUnit::kTokens, BudgetPeriod::kDay, zone_, clock.wall()) {}

Ledger::~Ledger() = default;

template <class F>
void Ledger::for_each_cells(F&& f) const {
  for (const auto& cells : owned_cells_) f(*cells);
  user_models_.for_each([&](UserModelCells& cells) { f(cells.cells); });
}

// Amounts that shrink below what is used pass their shares now, not at the next settle.
void Ledger::configure(ScopeCells& cells, const LimitSpec& limits, const std::vector<BudgetSpec>& budgets) {
  const WallTime now = clock_.wall();
  std::array<std::uint64_t, ScopeCells::kBudgetKinds> hard_before;
  for (std::size_t kind = 0; kind < hard_before.size(); ++kind) {
    const Budget* budget = cells.budgets[kind].load(std::memory_order_acquire);
    hard_before[kind] = budget == nullptr ? kUnlimited : budget->hard();
  }
  const std::uint8_t made = cells.configure(limits, budgets, zone_, now, next_epoch());
  for (std::size_t kind = 0; kind < hard_before.size(); ++kind) {
    Budget* budget = cells.budgets[kind].load(std::memory_order_acquire);
    if ((made >> kind & 1) != 0) note_new(cells.scope, cells.id, cells.model, budget->period());
    if (events_ == nullptr || budget == nullptr || budget->hard() >= hard_before[kind]) continue;
    const BudgetCount count = budget->count(now);
    if (count.settled >= count.hard && count.settled < hard_before[kind]) {
      events_->threshold_passed({cells.scope, cells.id, cells.name, cells.model, budget->unit(), budget->period(),
                                 count.period, false, 100, count.hard, count.settled});
    }
  }
}

void Ledger::note_new(Scope scope, std::uint64_t id, const std::string& model, BudgetPeriod period) {
  if (!changing_) return;
  PastUse past{.period = period,
               .query = {.when = period_of(period, clock_.wall(), zone_), .scope = scope, .id = id, .model = model}};
  if (std::any_of(made_.begin(), made_.end(), [&](const PastUse& noted) { return covers(noted, past); })) return;
  std::erase_if(made_, [&](const PastUse& noted) { return covers(past, noted); });
  made_.push_back(std::move(past));
}

std::vector<PastUse> Ledger::change_budgets(const std::function<void()>& set) {
  {
    const std::lock_guard lock(control_mutex_);
    changing_ = true;
    made_.clear();
  }
  set();
  const std::lock_guard lock(control_mutex_);
  changing_ = false;
  if (!made_.empty()) epoch_.store(epoch() + 1, std::memory_order_release);
  return std::exchange(made_, {});
}

void Ledger::set_scope(Scope scope, std::uint32_t index, std::uint64_t id, std::string_view name,
                       const LimitSpec& limits, const std::vector<BudgetSpec>& budgets) {
  const std::lock_guard lock(control_mutex_);
  ScopeCells* cells = tables_[static_cast<std::size_t>(scope)].find(index);
  if (cells != nullptr) return configure(*cells, limits, budgets);
  if (limits == LimitSpec{} && budgets.empty()) return;  // most keys: no cells at all
  auto& slot = tables_[static_cast<std::size_t>(scope)].slot(index);
  cells = owned_cells_.emplace_back(std::make_unique<ScopeCells>(scope, id, std::string(name))).get();
  configure(*cells, limits, budgets);
  adopt(*cells);
  slot.store(cells, std::memory_order_release);  // seen by workers only with its amounts
}

void Ledger::set_model(std::uint32_t index, std::string_view name, const ModelSpec& spec) {
  const std::lock_guard lock(control_mutex_);
  auto& slot = tables_[static_cast<std::size_t>(Scope::kModel)].slot(index);
  ScopeCells* cells = slot.load(std::memory_order_acquire);
  const bool fresh = cells == nullptr;
  if (fresh) {
    cells = owned_cells_.emplace_back(std::make_unique<ScopeCells>(Scope::kModel, 0, std::string())).get();
    cells->model = name;
  }
  configure(*cells, spec.limits, spec.budgets);
  if (fresh) {
    adopt(*cells);
    slot.store(cells, std::memory_order_release);
  }
  set_terms(index, *cells, spec);
}

// Prices, and what each user may use of the model: users who have called it are told now, others when they first do.
void Ledger::set_terms(std::uint32_t index, const ScopeCells& model, const ModelSpec& spec) {
  const ModelTerms* old = terms_.find(index);
  if (old != nullptr && old->price == spec.price && old->user_budgets == spec.user_budgets) return;
  const bool more = has_kind_beside(spec.user_budgets, old == nullptr ? std::vector<BudgetSpec>{} : old->user_budgets);
  const std::lock_guard lock(user_model_mutex_);
  owned_terms_.push_back(std::make_unique<const ModelTerms>(
      ModelTerms{spec.user_budgets, spec.price, more || old == nullptr ? next_epoch() : old->since}));
  terms_.slot(index).store(owned_terms_.back().get(), std::memory_order_release);
  if (changing_ && more) {
    std::erase_if(parked_user_models_, [&](const auto& parked) { return parked.first.second == model.model; });
    for (const BudgetSpec& budget : spec.user_budgets) note_new(Scope::kUserModel, 0, model.model, budget.period);
  }
  user_models_.for_each([&](UserModelCells& at) {
    if (!at.own && static_cast<std::uint32_t>(at.key) == index) configure(at.cells, {}, spec.user_budgets);
  });
}

void Ledger::know_model(std::uint32_t index, std::string_view name) {
  if (terms_.find(index) == nullptr) set_model(index, name, {});
}

void Ledger::set_user_model(std::uint32_t user, std::uint64_t user_id, std::string_view user_name, std::uint32_t model,
                            const std::vector<BudgetSpec>& budgets) {
  const std::lock_guard lock(control_mutex_);
  UserModelCells* cells = user_models_.find(pair_key(user, model));
  if (cells == nullptr && budgets.empty()) return;
  if (cells == nullptr)
    cells = make_user_model({.user = user, .model = model, .user_id = user_id, .user_name = user_name});
  if (cells == nullptr) return;
  cells->own = !budgets.empty();
  const ModelTerms* terms = terms_.find(model);
  configure(cells->cells, {}, budgets.empty() && terms != nullptr ? terms->user_budgets : budgets);
  if (!budgets.empty()) any_own_user_model_.store(true, std::memory_order_release);
}

ScopeCells* Ledger::user_model_cells(const Scopes& scopes, Epoch epoch) noexcept {
  UserModelCells* cells = user_models_.find(pair_key(scopes.user, scopes.model));
  if (cells != nullptr) return &cells->cells;
  const ModelTerms* terms = terms_.find(scopes.model);
  if (terms->user_budgets.empty() || terms->since > epoch) return nullptr;
  cells = make_user_model(scopes);
  return cells == nullptr ? nullptr : &cells->cells;
}

UserModelCells* Ledger::make_user_model(const Scopes& scopes) {
  const ScopeCells* model = tables_[static_cast<std::size_t>(Scope::kModel)].find(scopes.model);
  if (model == nullptr) return nullptr;
  const std::lock_guard lock(user_model_mutex_);
  if (UserModelCells* there = user_models_.find(pair_key(scopes.user, scopes.model))) return there;
  auto fresh = std::make_unique<UserModelCells>(pair_key(scopes.user, scopes.model), scopes.user_id,
                                                std::string(scopes.user_name));
  fresh->cells.model = model->model;
  const ModelTerms* terms = terms_.find(scopes.model);
  if (terms != nullptr) fresh->cells.configure({}, terms->user_budgets, zone_, clock_.wall(), terms->since);
  const auto parked = parked_user_models_.find({scopes.user_id, model->model});
  if (parked != parked_user_models_.end() && terms != nullptr) {
    for (const BudgetState& state : parked->second) restore_into(fresh->cells, state, terms->since);
    parked_user_models_.erase(parked);
  }
  return user_models_.insert(std::move(fresh));
}

// Gives new cells what waited for them since the start. In a change nothing is taken: it asks for all that was used.
void Ledger::adopt(ScopeCells& cells) {
  const ById id{cells.scope, cells.id, cells.model};
  by_id_[id] = &cells;
  const auto parked = parked_.find(id);
  if (parked == parked_.end()) return;
  if (!changing_) {
    for (const BudgetState& state : parked->second) restore_into(cells, state, epoch());
  }
  parked_.erase(parked);
}

// Budgets of another epoch know what was used.
void Ledger::restore_into(const ScopeCells& cells, const BudgetState& state, Epoch since) {
  Budget* budget = cells.budget(state.unit, state.period);
  if (budget == nullptr || budget->since() != since) return;
  const std::uint64_t before = budget->restore(state.when, state.settled);
  const bool told = since == kFirstEpoch;  // by the process before this one
  if (events_ != nullptr && !told) passed(*budget, state.when, before, before + state.settled);
}

void Ledger::restore(const std::vector<BudgetState>& states) {
  const std::lock_guard lock(control_mutex_);
  const std::lock_guard inner(user_model_mutex_);  // a user who calls for the first time finds all of it or waits
  std::map<std::pair<std::uint64_t, std::string>, const ScopeCells*> user_models;
  user_models_.for_each([&](UserModelCells& at) { user_models[{at.cells.id, at.cells.model}] = &at.cells; });
  for (const BudgetState& state : states) {
    if (state.scope == Scope::kUserModel) {
      const auto at = user_models.find({state.id, state.model});
      if (at != user_models.end()) {
        restore_into(*at->second, state, epoch());
      } else {
        parked_user_models_[{state.id, state.model}].push_back(state);
      }
      continue;
    }
    const ById id{state.scope, state.id, state.model};
    if (const auto at = by_id_.find(id); at != by_id_.end()) {
      restore_into(*at->second, state, epoch());
    } else {
      parked_[id].push_back(state);
    }
  }
}

std::vector<BudgetState> Ledger::snapshot() const {
  const std::lock_guard lock(control_mutex_);
  std::vector<BudgetState> states;
  std::vector<std::pair<Period, std::uint64_t>> periods;
  for_each_cells([&](const ScopeCells& cells) {
    for (const auto& slot : cells.budgets) {
      const Budget* budget = slot.load(std::memory_order_acquire);
      if (budget == nullptr) continue;
      periods.clear();
      budget->list(periods);
      for (const auto& [when, settled] : periods) {
        if (settled == 0) continue;
        states.push_back({cells.scope, cells.id, cells.model, budget->unit(), budget->period(), when, settled});
      }
    }
  });
  for (const auto& [id, parked] : parked_) states.insert(states.end(), parked.begin(), parked.end());
  const std::lock_guard inner(user_model_mutex_);
  for (const auto& [id, parked] : parked_user_models_) states.insert(states.end(), parked.begin(), parked.end());
  return states;
}

std::vector<BudgetState> Ledger::user_model_use(const Wanted& wanted) const {
  const WallTime now = clock_.wall();
  std::vector<BudgetState> states;
  user_models_.for_each([&](UserModelCells& at) {
    for (const auto& slot : at.cells.budgets) {
      Budget* budget = slot.load(std::memory_order_acquire);
      if (budget == nullptr) continue;
      const BudgetCount count = budget->count(now);
      BudgetState use{Scope::kUserModel, at.cells.id,  at.cells.model, budget->unit(),
                      budget->period(),  count.period, count.settled};
      if ((count.settled != 0 || count.reserved != 0) && wanted(use)) states.push_back(std::move(use));
    }
  });
  const std::lock_guard lock(user_model_mutex_);
  for (const auto& [id, parked] : parked_user_models_) {
    const auto first = static_cast<std::ptrdiff_t>(states.size());
    for (const BudgetState& use : parked) {
      if (use.settled == 0 || use.when != period_of(use.period, now, zone_) || !wanted(use)) continue;
      const auto same = std::find_if(states.begin() + first, states.end(), [&](const BudgetState& other) {
        return other.unit == use.unit && other.period == use.period;
      });
      if (same == states.end())
        states.push_back(use);
      else
        same->settled += use.settled;
    }
  }
  return states;
}

void Ledger::sweep() {
  const std::lock_guard lock(control_mutex_);
  const MonoTime now = clock_.mono();
  days_.sweep(now);
  for_each_cells([&](const ScopeCells& cells) {
    for (const auto& slot : cells.budgets) {
      if (Budget* budget = slot.load(std::memory_order_acquire)) budget->sweep(now);
    }
  });
}

std::uint64_t Ledger::reserved() const {
  const std::lock_guard lock(control_mutex_);
  std::uint64_t sum = 0;
  for_each_cells([&](const ScopeCells& cells) {
    for (const auto& slot : cells.budgets) {
      if (const Budget* budget = slot.load(std::memory_order_acquire)) sum += budget->reserved();
    }
  });
  return sum;
}

std::vector<Explanation> Ledger::explain(const Scopes& scopes) const {
  std::vector<Explanation> lines;
  const std::int64_t mono = to_ns(clock_.mono());
  const auto add = [&](const ScopeCells& cells, Explanation::What what, std::uint64_t limit, std::uint64_t left,
                       std::int64_t reset_ns) {
    if (limit == kUnlimited) return;
    lines.push_back({.what = what,
                     .scope = cells.scope,
                     .name = cells.name,
                     .model = cells.model,
                     .limit = limit,
                     .used = limit - std::min(left, limit),
                     .left = left,
                     .when = {},
                     .reset = std::chrono::milliseconds((reset_ns + 999'999) / 1'000'000)});
  };
  const auto add_all = [&](const ScopeCells* cells) {
    if (cells == nullptr) return;
    add(*cells, Explanation::What::kRequests, cells->requests.limit(), cells->requests.remaining(mono),
        cells->requests.debt_ns(mono));
    add(*cells, Explanation::What::kTokens, cells->tokens.limit(), cells->tokens.remaining(mono),
        cells->tokens.debt_ns(mono));
    add(*cells, Explanation::What::kConcurrency, cells->slots.limit(),
        left_of(cells->slots.limit(), cells->slots.in_use()), 0);
    std::uint32_t mask = cells->budget_mask.load(std::memory_order_acquire);
    for (; mask != 0; mask &= mask - 1) {
      Budget* budget = cells->budgets[static_cast<std::size_t>(__builtin_ctz(mask))].load(std::memory_order_acquire);
      const BudgetCount count = budget->count(clock_.wall());
      lines.push_back({.what = Explanation::What::kBudget,
                       .scope = cells->scope,
                       .name = cells->name,
                       .model = cells->model,
                       .unit = budget->unit(),
                       .period = budget->period(),
                       .limit = count.hard,
                       .soft = count.soft,
                       .used = count.settled,
                       .reserved = count.reserved,
                       .left = count.left(),
                       .when = count.period});
    }
  };
  for (const ScopeCells* cells : cells_of(scopes)) add_all(cells);
  if (const UserModelCells* cells = user_models_.find(pair_key(scopes.user, scopes.model))) add_all(&cells->cells);
  return lines;
}

}  // namespace sluice::ledger
