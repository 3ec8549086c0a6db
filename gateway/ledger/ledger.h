// Limits and budgets of everybody, as counters that every worker changes at once without a lock.
//
// A call takes its limits, then reserves on every budget that applies (prompt estimate and a first slice of output),
// all or nothing; a stream extends slice by slice as it counts; the end gives everything back and charges what was
// measured. So
//     spend ≤ limit + Σ (measured − reserved) of what is in flight,
// and a call whose upstream honours its cap never measures more than was reserved for it, or was granted later.
#pragma once

#include <absl/time/time.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/usage.h"
#include "ledger/cells.h"
#include "ledger/price.h"
#include "ledger/refusal.h"
#include "ledger/ticket.h"
#include "ledger/usage_sum.h"

namespace sluice::ledger {

// What a call asks of the budgets, in tokens.
struct Ask {
  std::uint64_t prompt = 0;      // estimate
  std::uint64_t output_cap = 0;  // of the whole call; 0: generates nothing
  std::uint64_t choices = 1;     // a clamp is told per choice
  bool streamed = false;         // can be extended and cut
  bool cap_given = false;        // the client named the cap
  PriceClass price_class = PriceClass::kStandard;
};

struct Grant {
  Refusal refusal;                    // kNone: reserved
  std::uint64_t clamp_output_to = 0;  // per choice; 0: the cap may stay as it is
};

enum class Extended : std::uint8_t { kGranted, kUsedUp };

// A budget has passed a share of its amount.
struct ThresholdEvent {
  Scope scope = Scope::kKey;
  std::uint64_t id = 0;  // of the key, user or tenant; 0: a model
  std::string_view name, model;
  BudgetUnit unit = BudgetUnit::kTokens;
  BudgetPeriod period = BudgetPeriod::kTotal;
  Period when;
  bool soft = false;            // passed the soft amount
  std::uint32_t percent = 100;  // of `amount`
  std::uint64_t amount = 0, settled = 0;
};

// Thread: any worker, and the control thread; must not block. Views are valid during the call.
class LedgerEvents {
 public:
  virtual ~LedgerEvents() = default;
  virtual void threshold_passed(const ThresholdEvent& event) noexcept = 0;
};

// One line of `sluice budget explain`.
struct Explanation {
  enum class What : std::uint8_t { kRequests, kTokens, kConcurrency, kBudget };
  What what = What::kBudget;
  Scope scope = Scope::kKey;
  std::string name, model;
  BudgetUnit unit = BudgetUnit::kTokens;
  BudgetPeriod period = BudgetPeriod::kTotal;
  std::uint64_t limit = 0;  // a minute, at once, or of the budget (its hard amount; kUnlimited: only a soft one)
  std::uint64_t soft = kUnlimited;
  std::uint64_t used = 0;      // settled, or in use
  std::uint64_t reserved = 0;  // by calls in flight
  std::uint64_t left = 0;
  Period when;                         // of a budget
  std::chrono::milliseconds reset{0};  // of a rate: until all of it is back
};

// What one budget has settled in one period: what restarts restore.
struct BudgetState {
  Scope scope = Scope::kKey;
  std::uint64_t id = 0;  // of the key, user or tenant; of a user-on-model the user's; of a model 0
  std::string model{};   // of a model or user-on-model
  BudgetUnit unit = BudgetUnit::kTokens;
  BudgetPeriod period = BudgetPeriod::kTotal;
  Period when{};
  std::uint64_t settled = 0;
};

// What a budget that was made while calls run has to be told: what its scope has used in its present period.
struct PastUse {
  BudgetPeriod period = BudgetPeriod::kTotal;
  UsageQuery query;
};

// Thread:   the first group from any worker, lock-free and without allocation once warm; the second from control
//           threads.
// Lifetime: outlives every ticket. Cells stay for the life of the ledger: a reload changes amounts, never counters.
class Ledger final {
 public:
  struct Options {
    std::uint64_t slice = 2'048;      // output tokens reserved at a time
    std::uint32_t warn_percent = 80;  // of a budget: passing it is an event; 0 or 100: only the whole is
    absl::TimeZone zone = absl::UTCTimeZone();
  };
  Ledger(const Clock& clock, Options options, LedgerEvents* events = nullptr);
  ~Ledger();

  // --- workers ---

  // Takes a request, min(prompt estimate, burst) tokens and a slot on every limit that applies, or nothing. Fills the
  // ticket's views either way. REQUIRES: the ticket holds no limits.
  [[nodiscard]] Refusal take_limits(Ticket& ticket, const Scopes& scopes, std::uint64_t prompt_estimate) noexcept;
  // Charges completion tokens up to `completion_tokens` in all.
  void count_output(Ticket& ticket, std::uint64_t completion_tokens) noexcept;
  // Frees the slots and charges measured − charged. A second call does nothing.
  void release_limits(Ticket& ticket, const Usage& usage) noexcept;

  // Reserves on every budget that applies, or on none. REQUIRES: the ticket holds no budgets.
  [[nodiscard]] Grant reserve(Ticket& ticket, const Scopes& scopes, const Ask& ask) noexcept;
  // Makes sure that `completion_tokens` and some more are reserved. kUsedUp: they are not, and what passed has used the
  // reservation; the stream is to be cut.
  [[nodiscard]] Extended extend(Ticket& ticket, std::uint64_t completion_tokens) noexcept;
  // Frees the reservations and charges what was measured, in the periods they were taken in. A second call does
  // nothing.
  void settle(Ticket& ticket, const Usage& usage) noexcept;

  // Moves what the call has reserved, and the tokens that its limits were charged, to `kept`, which is settled and
  // released later; the call keeps its slots. REQUIRES: `kept` is empty.
  static void hand_over(Ticket& call, Ticket& kept) noexcept;
  // Reserves again what a call of an earlier process held, whether or not there is room, in the periods of its day; in
  // one that is over nothing. The limits begin empty: of them it owes what it will have used beyond its prompt.
  // REQUIRES: the ticket is empty.
  struct Held {
    std::int64_t day_us = 0;
    Price price;
    PriceClass price_class = PriceClass::kStandard;
    std::uint64_t prompt = 0, output = 0;  // tokens
  };
  void hold_again(Ticket& ticket, const Scopes& scopes, const Held& held) noexcept;

  [[nodiscard]] const Clock& clock() const noexcept { return clock_; }
  [[nodiscard]] const absl::TimeZone& zone() const noexcept { return zone_; }
  // The day, in the budgets' zone, that a call which begins now is charged to: when it began, µs since the epoch.
  [[nodiscard]] std::int64_t day_us() noexcept { return days_.at(clock_.wall()).period.begin_us; }

  // --- control ---

  // Sets what a key, user or tenant is held to. Counters that exist go on; what is not named any more stops to apply.
  // `id` is the store's, `name` is for people (of a key: empty). REQUIRES: scope is kKey, kUser or kTenant; index <
  // 2^24.
  void set_scope(Scope scope, std::uint32_t index, std::uint64_t id, std::string_view name, const LimitSpec& limits,
                 const std::vector<BudgetSpec>& budgets);
  struct ModelSpec {
    LimitSpec limits;
    std::vector<BudgetSpec> budgets;
    std::vector<BudgetSpec> user_budgets;  // for each user on this model
    Price price;
  };
  void set_model(std::uint32_t index, std::string_view name, const ModelSpec& spec);
  // Makes counters for a model that has none yet, held to nothing, so that budgets of users on it can be set.
  void know_model(std::uint32_t index, std::string_view name);
  // Budgets of one user on one model, in place of the model's user_budgets. Empty: those apply again.
  // REQUIRES: the model is known; the user need not have limits or budgets of its own.
  void set_user_model(std::uint32_t user, std::uint64_t user_id, std::string_view user_name, std::uint32_t model,
                      const std::vector<BudgetSpec>& budgets);
  // Runs `set`, which may call the functions above while calls run. Budgets that it made hold calls from its return on,
  // and count what was in flight when it ends. What had ended before, the calls that were settled in an epoch before
  // epoch(), is to be looked up and given to restore() before the next change.
  [[nodiscard]] std::vector<PastUse> change_budgets(const std::function<void()>& set);
  [[nodiscard]] Epoch epoch() const noexcept { return epoch_.load(std::memory_order_relaxed); }
  void set_slice(std::uint64_t tokens) noexcept { slice_.store(tokens == 0 ? 1 : tokens, std::memory_order_relaxed); }
  void set_warn_percent(std::uint32_t percent) noexcept { warn_percent_.store(percent, std::memory_order_relaxed); }

  // Everything that would apply to such a call, and how it stands.
  [[nodiscard]] std::vector<Explanation> explain(const Scopes& scopes) const;

  // What was settled, for every budget and every period that is remembered; and the way back, to budgets of the present
  // epoch: at start to all, later to those that the last change made. At start what belongs to nobody yet waits for
  // set_…().
  [[nodiscard]] std::vector<BudgetState> snapshot() const;
  void restore(const std::vector<BudgetState>& states);
  // What users have settled in the present period of budgets on models, those `wanted`; also of users who have not
  // called since the start, though of such a one it is not known which budgets there are.
  using Wanted = std::function<bool(const BudgetState& use)>;
  [[nodiscard]] std::vector<BudgetState> user_model_use(const Wanted& wanted) const;
  // Frees the cells of periods long gone. To be called every few minutes.
  void sweep();
  // Sum of what calls in flight have reserved, over all budgets: 0 when nothing runs.
  [[nodiscard]] std::uint64_t reserved() const;

 private:
  using ById = std::tuple<Scope, std::uint64_t, std::string>;

  [[nodiscard]] std::array<ScopeCells*, 4> cells_of(const Scopes& scopes) const noexcept;
  [[nodiscard]] ScopeCells* user_model_cells(const Scopes& scopes, Epoch epoch) noexcept;
  UserModelCells* make_user_model(const Scopes& scopes);
  template <class F>
  void each_budget(const Scopes& scopes, bool priced, Epoch epoch, F&& f) noexcept;
  void gather(Ticket& ticket, const Scopes& scopes, WallTime now) noexcept;
  void charge_new(const Ticket& ticket, Epoch reserved_in, std::uint64_t tokens, std::uint64_t micros) noexcept;
  [[nodiscard]] bool take_all(Ticket& ticket, std::uint64_t prompt, std::uint64_t output) noexcept;
  void undo_limits(Ticket& ticket, std::int64_t now) noexcept;
  static void fill_views(Ticket& ticket, const std::array<ScopeCells*, 4>& cells, std::int64_t now) noexcept;
  void passed(const Budget& budget, const Period& when, std::uint64_t before, std::uint64_t after) noexcept;

  void configure(ScopeCells& cells, const LimitSpec& limits, const std::vector<BudgetSpec>& budgets);
  void set_terms(std::uint32_t index, const ScopeCells& model, const ModelSpec& spec);
  void adopt(ScopeCells& cells);
  void restore_into(const ScopeCells& cells, const BudgetState& state, Epoch since);
  // The epoch of budgets that are made now. REQUIRES: control_mutex_
  [[nodiscard]] Epoch next_epoch() const noexcept { return changing_ ? epoch() + 1 : epoch(); }
  void note_new(Scope scope, std::uint64_t id, const std::string& model, BudgetPeriod period);
  template <class F>
  void for_each_cells(F&& f) const;  // REQUIRES: control_mutex_

  const Clock& clock_;
  const absl::TimeZone zone_;
  LedgerEvents* const events_;
  std::atomic<std::uint64_t> slice_;
  std::atomic<std::uint32_t> warn_percent_;
  std::array<IndexTable<ScopeCells>, 4> tables_;  // by Scope: key, user, tenant, model
  IndexTable<const ModelTerms> terms_;
  UserModelTable user_models_;
  const ScopeCells nobody_{Scope::kTenant, 0, ""};
  Budget days_;  // counts nothing: it knows which day it is, as the budgets do
  std::atomic<bool> any_own_user_model_{false};
  static constexpr Epoch kFirstEpoch = 1;
  std::atomic<Epoch> epoch_{kFirstEpoch};

  mutable std::mutex control_mutex_;  // of what follows; no worker takes it
  std::vector<std::unique_ptr<ScopeCells>> owned_cells_;
  std::vector<std::unique_ptr<const ModelTerms>> owned_terms_;  // old ones stay: a worker may be reading them
  std::map<ById, std::vector<BudgetState>> parked_;
  std::map<ById, ScopeCells*> by_id_;
  bool changing_ = false;      // inside change_budgets()
  std::vector<PastUse> made_;  // by it

  // Of what follows and of models' terms. A worker takes it once in the life of a user on a model, to make the cells.
  mutable std::mutex user_model_mutex_;
  std::map<std::pair<std::uint64_t, std::string>, std::vector<BudgetState>> parked_user_models_;
};

}  // namespace sluice::ledger
