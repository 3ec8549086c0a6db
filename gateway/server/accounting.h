// Where ended calls go, and who is told when a budget or the disk runs low: opened once at start, before budgets are
// restored.
//
//   journal on:   workers ─▶ journal ─▶ store      what a crash left open is charged here, at open()
//   journal off:  workers ─▶ queue ─▶ store        what is queued when the process dies is lost
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "config/settings.h"
#include "journal/journal.h"
#include "ledger/ledger.h"
#include "observe/log.h"
#include "store/audit_sink.h"
#include "store/store.h"

namespace sluice::server {

// Writes a line and counts when a budget passes a threshold.
// Thread: any worker.
class BudgetLog final : public ledger::LedgerEvents {
 public:
  explicit BudgetLog(observe::Log& log) : log_(log) {}
  void threshold_passed(const ledger::ThresholdEvent& event) noexcept override;

  enum class Passed : std::uint8_t { kNearly, kUsedUp, kSoft };  // warn_percent of a hard amount, all of it, a soft one
  [[nodiscard]] std::uint64_t count(Passed what) const noexcept {
    return counts_[static_cast<std::size_t>(what)].load(std::memory_order_relaxed);
  }

 private:
  observe::Log& log_;
  std::array<std::atomic<std::uint64_t>, 3> counts_{};
};

// Thread:   control thread; the sink is used by workers.
// Lifetime: outlives every worker and every policy chain.
class Accounting final {
 public:
  // Opens the journal, or the queue, over a store of its own; when it returns, everything that had ended before, and
  // what a crash left open, is in the store, so that budgets may be restored from its sums. Errors are one line that
  // says what to do.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Accounting>> open(const config::Settings& settings,
                                                                        const Clock& clock, std::uint64_t boot_id,
                                                                        observe::Log& log);
  ~Accounting();

  [[nodiscard]] journal::AuditSink& sink() noexcept;
  [[nodiscard]] journal::Journal* journal() noexcept { return journal_.get(); }  // null: the conf turned it off
  [[nodiscard]] const journal::Journal* journal() const noexcept { return journal_.get(); }

  // While the lock is held no record moves to the store.
  [[nodiscard]] std::unique_lock<std::mutex> hold_delivery();
  // Every end that the store has not taken. REQUIRES: hold_delivery().
  void each_undelivered(const std::function<void(const journal::AuditRecord&)>& visit);
  [[nodiscard]] std::uint64_t boot_id() const noexcept { return boot_id_; }

  // Ends of calls: handed over, in the store, lost for want of room.
  [[nodiscard]] std::uint64_t recorded() const noexcept;
  [[nodiscard]] std::uint64_t stored() const noexcept;
  [[nodiscard]] std::uint64_t dropped() const noexcept;

  // What goes wrong now, in words; empty: nothing.
  struct Troubles {
    std::string of_journal, of_store;
  };
  // Thread: any. Without a journal nothing is kept of the store's troubles but the log's lines.
  [[nodiscard]] Troubles troubles() const;

 private:
  class JournalLog;
  explicit Accounting(std::uint64_t boot_id);

  const std::uint64_t boot_id_;
  std::unique_ptr<JournalLog> journal_log_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<store::QueuedAuditSink> queue_;
};

}  // namespace sluice::server
