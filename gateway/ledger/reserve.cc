// Ledger: reserve, extend, settle.
#include <algorithm>
#include <utility>

#include "ledger/ledger.h"

namespace sluice::ledger {
namespace {

// Where many calls race for the last of a budget, each failed round means that another call took some: lock-free, and
// the one that loses this often is told to come again.
constexpr int kRounds = 16;

// `amount` of a budget that a reservation of so many tokens takes. At least 1: a hold is never invisible.
std::uint64_t amount_of(BudgetUnit unit, const Rates& rates, std::uint64_t prompt, std::uint64_t output) noexcept {
  const std::uint64_t amount = unit == BudgetUnit::kTokens ? prompt + output : cost_at_most(rates, prompt, output);
  return std::max<std::uint64_t>(amount, 1);
}

// How many output tokens fit into `left` behind the prompt; nothing: not even the prompt does.
std::optional<std::uint64_t> output_within(BudgetUnit unit, const Rates& rates, std::uint64_t left,
                                           std::uint64_t prompt) noexcept {
  if (left == 0) return std::nullopt;
  if (unit == BudgetUnit::kTokens) return left < prompt ? std::nullopt : std::optional(left - prompt);
  const std::uint64_t whole = multiply(left, 1'000'000), taken = multiply(prompt, rates.prompt);
  if (whole < taken) return std::nullopt;
  return rates.output == 0 ? kMaxTokens : (whole - taken) / rates.output;
}

// Which refusal says most: a spent budget stays spent whoever ends.
int weight(RefusalKind kind) noexcept {
  switch (kind) {
    case RefusalKind::kSpent:
      return 3;
    case RefusalKind::kTooLarge:
      return 2;
    case RefusalKind::kReserved:
      return 1;
    default:
      return 0;
  }
}

// The refusal by one budget, if it has no room for `needed`.
Refusal refuse(const PeriodCell& cell, std::uint64_t limit, std::uint64_t needed) noexcept {
  const Budget& budget = *cell.budget;
  const ScopeCells& owner = budget.owner();
  const std::uint64_t committed = cell.committed.load(std::memory_order_relaxed);
  const std::uint64_t settled = cell.settled.load(std::memory_order_relaxed);
  Refusal refusal{.scope = owner.scope,
                  .unit = budget.unit(),
                  .period = budget.period(),
                  .limit = limit,
                  .left = left_of(limit, std::max(committed, settled)),
                  .reserved = committed > settled ? committed - settled : 0,
                  .needed = needed,
                  .resets = WallTime(std::chrono::microseconds(cell.period.end_us)),
                  .name = owner.name,
                  .model = owner.model};
  if (settled >= limit) {
    refusal.kind = RefusalKind::kSpent;
  } else if (needed > limit - settled) {
    refusal.kind = RefusalKind::kTooLarge;
    refusal.left = limit - settled;
  } else {
    refusal.kind = RefusalKind::kReserved;
    refusal.retry_after = std::chrono::milliseconds(1'000);
  }
  return refusal;
}

// How much output to reserve at once, when `left` could be.
std::uint64_t first_slice(const Ask& ask, std::uint64_t left, std::uint64_t slice) noexcept {
  const std::uint64_t cap = std::min(ask.output_cap, left);
  // What cannot be cut is reserved whole; without a cap of its own it leaves three quarters to others.
  if (!ask.streamed) return ask.cap_given ? cap : std::min(cap, std::max(slice, left / 4));
  return std::min(cap, std::min(slice, std::max<std::uint64_t>(left / 8, 64)));
}

}  // namespace

// Calls f(budget) for every budget that applies now and was made in `epoch` or before.
template <class F>
void Ledger::each_budget(const Scopes& scopes, bool priced, Epoch epoch, F&& f) noexcept {
  const auto visit = [&](ScopeCells* cells) {
    if (cells == nullptr) return;
    std::uint32_t mask = cells->budget_mask.load(std::memory_order_acquire);
    if (!priced) mask &= 0x07;  // a model without a price costs no money
    for (; mask != 0; mask &= mask - 1) {
      Budget* budget = cells->budgets[static_cast<std::size_t>(__builtin_ctz(mask))].load(std::memory_order_acquire);
      if (budget->since() <= epoch) f(*budget);
    }
  };
  for (ScopeCells* cells : cells_of(scopes)) visit(cells);
  const ModelTerms* terms = terms_.find(scopes.model);
  const bool by_user =
      terms != nullptr && (!terms->user_budgets.empty() || any_own_user_model_.load(std::memory_order_acquire));
  if (by_user && scopes.user != kNoIndex) visit(user_model_cells(scopes, epoch));
}

// Lists the cells of every budget that applies now, with nothing reserved.
void Ledger::gather(Ticket& ticket, const Scopes& scopes, WallTime now) noexcept {
  // Read before all else: budgets that are made meanwhile are of a later epoch.
  ticket.reserved_in = epoch_.load(std::memory_order_acquire);
  ticket.scopes = scopes;
  const ModelTerms* terms = terms_.find(scopes.model);
  ticket.price = terms == nullptr ? Price{} : terms->price;
  ticket.budget_count = 0;
  each_budget(scopes, !is_free(ticket.price), ticket.reserved_in, [&](Budget& budget) {
    ticket.budgets[ticket.budget_count++] = {&budget.at(now), 0};
  });
}

// Takes the same tokens from every cell, or nothing from any.
bool Ledger::take_all(Ticket& ticket, std::uint64_t prompt, std::uint64_t output) noexcept {
  for (std::size_t i = 0; i < ticket.budget_count; ++i) {
    PeriodCell& cell = *ticket.budgets[i].cell;
    const std::uint64_t amount = amount_of(cell.budget->unit(), ticket.rates, prompt, output);
    const std::uint64_t hard = cell.budget->hard();
    if (hard == kUnlimited) {
      cell.committed.fetch_add(amount, std::memory_order_acq_rel);
    } else if (cell.reserve(amount, hard) == PeriodCell::Took::kNo) {
      while (i-- > 0) {
        PeriodCell& taken = *ticket.budgets[i].cell;
        taken.undo(amount_of(taken.budget->unit(), ticket.rates, prompt, output));
      }
      return false;
    }
  }
  for (std::size_t i = 0; i < ticket.budget_count; ++i) {
    Ticket::BudgetHold& hold = ticket.budgets[i];
    hold.reserved += amount_of(hold.cell->budget->unit(), ticket.rates, prompt, output);
  }
  return true;
}

Grant Ledger::reserve(Ticket& ticket, const Scopes& scopes, const Ask& asked) noexcept {
  const WallTime now = clock_.wall();
  Ask ask = asked;
  ask.prompt = std::min(ask.prompt, kMaxTokens);
  ask.output_cap = std::min(ask.output_cap, kMaxTokens);
  ask.choices = std::clamp<std::uint64_t>(ask.choices, 1, kMaxTokens);
  const std::uint64_t least =
      ask.output_cap == 0 ? 0 : std::min(ask.choices, ask.output_cap);  // a token for each choice
  ticket.day_us = days_.at(now).period.begin_us;
  gather(ticket, scopes, now);
  ticket.price_class = ask.price_class;
  ticket.rates = dearest(ticket.price, ask.prompt, ask.price_class);
  Grant grant;
  const PeriodCell* tightest = nullptr;  // of the hard budgets; set where one can fail
  for (int round = 0; round < kRounds; ++round) {
    grant.refusal = Refusal{};
    std::uint64_t left = kMaxTokens;
    for (std::size_t i = 0; i < ticket.budget_count; ++i) {
      const PeriodCell& cell = *ticket.budgets[i].cell;
      const BudgetUnit unit = cell.budget->unit();
      const std::uint64_t hard = cell.budget->hard();
      if (hard == kUnlimited) continue;
      const std::uint64_t free = left_of(hard, cell.committed.load(std::memory_order_relaxed));
      const std::optional<std::uint64_t> output = output_within(unit, ticket.rates, free, ask.prompt);
      if (output && *output >= least) {
        if (*output <= left) tightest = &cell;
        left = std::min(left, *output);
      } else if (const Refusal no = refuse(cell, hard, amount_of(unit, ticket.rates, ask.prompt, least));
                 weight(no.kind) > weight(grant.refusal.kind)) {
        grant.refusal = no;
      }
    }
    if (grant.refusal.refused()) break;
    const std::uint64_t output = std::max(first_slice(ask, left, slice_.load(std::memory_order_relaxed)), least);
    if (take_all(ticket, ask.prompt, output)) {
      ticket.reserved_prompt = ask.prompt;
      ticket.reserved_output = output;
      const std::uint64_t room = ask.streamed ? left : output;
      if (room < ask.output_cap) grant.clamp_output_to = std::max<std::uint64_t>(room / ask.choices, 1);
      return grant;
    }
    // Lost every round: room was there each time, and others were faster.
    grant.refusal = refuse(*tightest, tightest->budget->hard(), 1);
    grant.refusal.kind = RefusalKind::kReserved;
    grant.refusal.retry_after = std::chrono::milliseconds(1'000);
  }
  ticket.budget_count = 0;
  return grant;
}

void Ledger::hold_again(Ticket& ticket, const Scopes& scopes, const Held& held) noexcept {
  gather(ticket, scopes, clock_.wall());
  ticket.price = held.price;
  ticket.price_class = held.price_class;
  ticket.rates = dearest(held.price, held.prompt, held.price_class);
  ticket.day_us = held.day_us;
  ticket.reserved_prompt = std::min(held.prompt, kMaxTokens);
  ticket.reserved_output = std::min(held.output, kMaxTokens);
  ticket.budget_count = 0;
  each_budget(scopes, !is_free(held.price), ticket.reserved_in, [&](Budget& budget) {
    PeriodCell* const cell = budget.find(held.day_us);
    if (cell == nullptr) return;
    const std::uint64_t amount = amount_of(budget.unit(), ticket.rates, ticket.reserved_prompt, ticket.reserved_output);
    cell->committed.fetch_add(amount, std::memory_order_acq_rel);
    ticket.budgets[ticket.budget_count++] = {cell, amount};
  });
  for (ScopeCells* const at : cells_of(scopes)) {
    if (at == nullptr || !at->tokens.limited()) continue;
    const std::uint64_t burst = at->tokens.limit();
    ticket.limits[ticket.limit_count++] = {at, burst == 0 ? 1 : std::min(held.prompt, burst), false, false, true};
  }
}

void Ledger::hand_over(Ticket& call, Ticket& kept) noexcept {
  kept.scopes = call.scopes;
  kept.price = call.price;
  kept.price_class = call.price_class;
  kept.rates = call.rates;
  kept.day_us = call.day_us;
  kept.reserved_in = std::exchange(call.reserved_in, 0);
  kept.reserved_prompt = call.reserved_prompt;
  kept.reserved_output = call.reserved_output;
  kept.budgets = call.budgets;
  kept.budget_count = std::exchange(call.budget_count, 0);
  for (std::size_t i = 0; i < call.limit_count; ++i) {
    Ticket::LimitHold& hold = call.limits[i];
    if (!std::exchange(hold.tokens, false)) continue;
    kept.limits[kept.limit_count++] = {hold.cells, hold.charged_tokens, false, false, true};
  }
}

Extended Ledger::extend(Ticket& ticket, std::uint64_t completion_tokens) noexcept {
  if (ticket.budget_count == 0) return Extended::kGranted;
  const std::uint64_t slice = slice_.load(std::memory_order_relaxed);
  const std::uint64_t counted = std::min(completion_tokens, kMaxTokens);
  // Ahead of need, so that the count seldom passes what is reserved between two looks.
  const std::uint64_t ahead = std::min(slice / 4, ticket.reserved_output / 4);
  while (counted + ahead >= ticket.reserved_output) {
    std::uint64_t left = kMaxTokens;
    for (std::size_t i = 0; i < ticket.budget_count; ++i) {
      const PeriodCell& cell = *ticket.budgets[i].cell;
      const std::uint64_t free = left_of(cell.budget->hard(), cell.committed.load(std::memory_order_relaxed));
      if (free == kUnlimited) continue;
      left = std::min(left, output_within(cell.budget->unit(), ticket.rates, free, 0).value_or(0));
    }
    const std::uint64_t behind = counted > ticket.reserved_output ? counted - ticket.reserved_output : 0;
    const std::uint64_t more =
        std::min(left, std::max(behind + 1, std::min(slice, std::max<std::uint64_t>(left / 8, 64))));
    if (more == 0 || !take_all(ticket, 0, more)) {
      return counted >= ticket.reserved_output ? Extended::kUsedUp : Extended::kGranted;
    }
    ticket.reserved_output += more;
  }
  return Extended::kGranted;
}

void Ledger::settle(Ticket& ticket, const Usage& usage) noexcept {
  const std::size_t count = std::exchange(ticket.budget_count, 0);
  const Epoch reserved_in = std::exchange(ticket.reserved_in, 0);
  if (reserved_in == 0) return;
  ticket.settled_in = epoch_.load(std::memory_order_acquire);
  const std::uint64_t tokens = std::min(usage.total(), 2 * kMaxTokens);
  const std::uint64_t micros = cost(ticket.price, usage, ticket.price_class);
  for (std::size_t i = 0; i < count; ++i) {
    const Ticket::BudgetHold& hold = ticket.budgets[i];
    const Budget& budget = *hold.cell->budget;
    const std::uint64_t measured = budget.unit() == BudgetUnit::kTokens ? tokens : micros;
    const Period when = hold.cell->period;  // once settled, the cell may go
    const std::uint64_t before = hold.cell->settle(hold.reserved, measured);
    if (events_ != nullptr && measured != 0) passed(budget, when, before, before + measured);
  }
  if (ticket.settled_in != reserved_in) charge_new(ticket, reserved_in, tokens, micros);
}

// Budgets that were made while the call ran: they have reserved nothing for it, and count what it has used.
void Ledger::charge_new(const Ticket& ticket, Epoch reserved_in, std::uint64_t tokens, std::uint64_t micros) noexcept {
  each_budget(ticket.scopes, !is_free(ticket.price), ticket.settled_in, [&](Budget& budget) {
    const std::uint64_t measured = budget.unit() == BudgetUnit::kTokens ? tokens : micros;
    PeriodCell* cell = budget.since() > reserved_in && measured != 0 ? budget.find(ticket.day_us) : nullptr;
    if (cell == nullptr) return;
    const Period when = cell->period;
    const std::uint64_t before = cell->settle(0, measured);
    if (events_ != nullptr) passed(budget, when, before, before + measured);
  });
}

// Exactly one settling call sees each share passed: the one whose addition crossed it.
void Ledger::passed(const Budget& budget, const Period& when, std::uint64_t before, std::uint64_t after) noexcept {
  const auto tell = [&](std::uint64_t amount, std::uint32_t percent, bool soft) {
    if (amount == kUnlimited) return;
    const std::uint64_t share =
        percent == 100 ? amount : static_cast<std::uint64_t>(static_cast<double>(amount) * percent / 100);
    if (before >= share || after < share) return;
    const ScopeCells& owner = budget.owner();
    events_->threshold_passed({owner.scope, owner.id, owner.name, owner.model, budget.unit(), budget.period(), when,
                               soft, percent, amount, after});
  };
  const std::uint32_t warn = warn_percent_.load(std::memory_order_relaxed);
  if (warn > 0 && warn < 100) tell(budget.hard(), warn, false);
  tell(budget.hard(), 100, false);
  tell(budget.soft(), 100, true);
}

}  // namespace sluice::ledger
