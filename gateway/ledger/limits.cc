// Ledger: rates and concurrency, and the views that become x-ratelimit headers.
#include <algorithm>
#include <cstdlib>

#include "ledger/ledger.h"

namespace sluice::ledger {
namespace {

std::chrono::milliseconds ceil_ms(std::int64_t ns) noexcept {
  return std::chrono::milliseconds((ns + 999'999) / 1'000'000);
}

// Waiting calls must not all come back at once; and no SDK waits for more than a minute.
std::chrono::milliseconds retry_in(std::int64_t wait_ns) noexcept {
  return std::clamp(ceil_ms(wait_ns), std::chrono::milliseconds(1), std::chrono::milliseconds(60'000));
}

void look(RateView& view, const Gcra& rate, std::int64_t now) noexcept {
  if (!rate.limited()) return;
  const std::uint64_t remaining = rate.remaining(now);
  if (view.present && view.remaining <= remaining) return;
  view = {true, rate.limit(), remaining, ceil_ms(rate.debt_ns(now))};
}

}  // namespace

Ticket::~Ticket() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
  if (!empty()) std::abort();  // somebody forgot release_limits() or settle(): a slot or a reservation would leak
#endif
}

std::array<ScopeCells*, 4> Ledger::cells_of(const Scopes& scopes) const noexcept {
  return {tables_[0].find(scopes.key), tables_[1].find(scopes.user), tables_[2].find(scopes.tenant),
          tables_[3].find(scopes.model)};
}

void Ledger::fill_views(Ticket& ticket, const std::array<ScopeCells*, 4>& cells, std::int64_t now) noexcept {
  ticket.requests = ticket.tokens = RateView{};
  for (const ScopeCells* at : cells) {
    if (at == nullptr) continue;
    look(ticket.requests, at->requests, now);
    look(ticket.tokens, at->tokens, now);
  }
}

void Ledger::undo_limits(Ticket& ticket, std::int64_t now) noexcept {
  for (std::size_t i = ticket.limit_count; i-- > 0;) {
    Ticket::LimitHold& hold = ticket.limits[i];
    if (hold.tokens) hold.cells->tokens.give_back(now, hold.charged_tokens);
    if (hold.request) hold.cells->requests.give_back(now, 1);
    if (hold.slot) hold.cells->slots.release();
  }
  ticket.limit_count = 0;
}

Refusal Ledger::take_limits(Ticket& ticket, const Scopes& scopes, std::uint64_t prompt_estimate) noexcept {
  const std::array<ScopeCells*, 4> cells = cells_of(scopes);
  const std::int64_t now = to_ns(clock_.mono());
  Refusal refusal;
  ticket.counted_output = 0;
  for (ScopeCells* at : cells) {
    if (at == nullptr) continue;
    // Pushed before it is filled: what it has taken so far is what undo gives back.
    Ticket::LimitHold& hold = ticket.limits[ticket.limit_count++] = {at, 0, false, false, false};
    const auto refuse = [&](RefusalKind kind, std::uint64_t limit, std::uint64_t left, std::uint64_t needed,
                            std::int64_t wait) {
      refusal.kind = kind;
      refusal.scope = at->scope;
      refusal.name = at->name;
      refusal.model = at->model;
      refusal.limit = limit;
      refusal.left = left;
      refusal.needed = needed;
      refusal.retry_after = retry_in(wait);
    };
    if (at->slots.limited()) {
      if (!at->slots.try_take()) {
        refuse(RefusalKind::kConcurrency, at->slots.limit(), 0, 1, 1'000'000'000);
        break;
      }
      hold.slot = true;
    }
    if (at->requests.limited()) {
      if (const std::int64_t wait = at->requests.try_charge(now, 1); wait != 0) {
        refuse(RefusalKind::kRequests, at->requests.limit(), at->requests.remaining(now), 1, wait);
        break;
      }
      hold.request = true;
    }
    if (at->tokens.limited()) {
      const std::uint64_t burst = at->tokens.limit();
      const std::uint64_t units = burst == 0 ? 1 : std::min(prompt_estimate, burst);
      if (const std::int64_t wait = at->tokens.try_charge(now, units); wait != 0) {
        refuse(RefusalKind::kTokens, burst, at->tokens.remaining(now), units, wait);
        break;
      }
      hold.tokens = true;
      hold.charged_tokens = units;
    }
    if (!hold.slot && !hold.request && !hold.tokens) --ticket.limit_count;
  }
  if (refusal.refused()) undo_limits(ticket, now);
  fill_views(ticket, cells, now);
  return refusal;
}

void Ledger::count_output(Ticket& ticket, std::uint64_t completion_tokens) noexcept {
  if (completion_tokens <= ticket.counted_output) return;
  const std::uint64_t more = std::min(completion_tokens - ticket.counted_output, kMaxTokens);
  ticket.counted_output = completion_tokens;
  std::int64_t now = 0;
  for (std::size_t i = 0; i < ticket.limit_count; ++i) {
    Ticket::LimitHold& hold = ticket.limits[i];
    if (!hold.tokens) continue;
    if (now == 0) now = to_ns(clock_.mono());
    hold.cells->tokens.charge(now, more);
    hold.charged_tokens += more;
  }
}

void Ledger::release_limits(Ticket& ticket, const Usage& usage) noexcept {
  std::int64_t now = 0;
  const std::uint64_t measured = std::min(usage.total(), kMaxTokens);
  for (std::size_t i = 0; i < ticket.limit_count; ++i) {
    Ticket::LimitHold& hold = ticket.limits[i];
    if (hold.slot) hold.cells->slots.release();
    if (!hold.tokens || measured == hold.charged_tokens) continue;
    if (now == 0) now = to_ns(clock_.mono());
    if (measured > hold.charged_tokens) {
      hold.cells->tokens.charge(now, measured - hold.charged_tokens);
    } else {
      hold.cells->tokens.give_back(now, hold.charged_tokens - measured);
    }
  }
  ticket.limit_count = 0;
}

}  // namespace sluice::ledger
