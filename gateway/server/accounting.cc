#include "server/accounting.h"

#include <utility>

#include "store/sqlite_store.h"

namespace sluice::server {

void BudgetLog::threshold_passed(const ledger::ThresholdEvent& event) noexcept {
  static constexpr const char* kTexts[] = {"budget nearly used up", "budget used up", "soft budget passed"};
  const Passed what = event.soft ? Passed::kSoft : event.percent == 100 ? Passed::kUsedUp : Passed::kNearly;
  counts_[static_cast<std::size_t>(what)].fetch_add(1, std::memory_order_relaxed);
  log_.warn(kTexts[static_cast<std::size_t>(what)], {{"scope", ledger::to_string(event.scope)},
                                                     {"id", event.id},
                                                     {"name", event.name},
                                                     {"model", event.model},
                                                     {"unit", ledger::to_string(event.unit)},
                                                     {"period", ledger::to_string(event.period)},
                                                     {"percent", event.percent},
                                                     {"amount", event.amount},
                                                     {"settled", event.settled}});
}

// What the journal has to say, as lines of the log; what lasts is kept for whoever asks.
class Accounting::JournalLog final : public journal::JournalEvents {
 public:
  explicit JournalLog(observe::Log& log) : log_(log) {}
  void journal_full(std::string_view why) noexcept override {
    keep(troubles_.of_journal, why);
    log_.error("no room for the journal: new calls are refused, or go on unjournalled as [journal] on_full says",
               {{"why", why}});
  }
  void journal_recovered() noexcept override {
    keep(troubles_.of_journal, {});
    log_.info("the journal has room again");
  }
  void store_failed(std::string_view why) noexcept override {
    keep(troubles_.of_store, why);
    log_.error("the store takes no records: they wait in the journal", {{"why", why}});
  }
  void store_recovered() noexcept override {
    keep(troubles_.of_store, {});
    log_.info("the store takes records again");
  }
  void disk_failed(std::string_view why) noexcept override {
    keep(troubles_.of_journal, why);
    log_.error("the journal's disk fails: a power cut could lose records now", {{"why", why}});
  }
  void disk_recovered() noexcept override {
    keep(troubles_.of_journal, {});
    log_.info("the journal's disk works again");
  }
  [[nodiscard]] Troubles troubles() const {
    const std::lock_guard lock(mutex_);
    return troubles_;
  }

 private:
  void keep(std::string& trouble, std::string_view why) {
    const std::lock_guard lock(mutex_);
    trouble = why;
  }

  observe::Log& log_;
  mutable std::mutex mutex_;
  Troubles troubles_;
};

Accounting::Accounting(std::uint64_t boot_id) : boot_id_(boot_id) {}
Accounting::~Accounting() = default;

journal::AuditSink& Accounting::sink() noexcept {
  if (journal_) return *journal_;
  return *queue_;
}

std::unique_lock<std::mutex> Accounting::hold_delivery() {
  return journal_ ? journal_->hold_delivery() : queue_->hold_delivery();
}

void Accounting::each_undelivered(const std::function<void(const journal::AuditRecord&)>& visit) {
  if (journal_) return journal_->each_undelivered(visit);
  queue_->each_queued(visit);
}

std::uint64_t Accounting::recorded() const noexcept { return journal_ ? journal_->ended() : queue_->recorded(); }
std::uint64_t Accounting::stored() const noexcept { return journal_ ? journal_->delivered() : queue_->stored(); }
std::uint64_t Accounting::dropped() const noexcept { return journal_ ? journal_->left_out() : queue_->dropped(); }

Accounting::Troubles Accounting::troubles() const { return journal_log_ ? journal_log_->troubles() : Troubles(); }

absl::StatusOr<std::unique_ptr<Accounting>> Accounting::open(const config::Settings& settings, const Clock& clock,
                                                             std::uint64_t boot_id, observe::Log& log) {
  std::unique_ptr<Accounting> accounting(new Accounting(boot_id));
  // The journal forgets what the store has taken: then the store may not forget it in a power cut.
  auto store = store::open_sqlite(
      settings.store_path(), settings.journal.enabled ? store::Durability::kCommit : store::Durability::kCheckpoint);
  if (!store.ok()) return store.status();
  if (!settings.journal.enabled) {
    accounting->queue_ = std::make_unique<store::QueuedAuditSink>(
        *std::move(store),
        store::QueuedAuditSink::Options{.batch = settings.journal.sink_batch,
                                        .interval = settings.journal.sink_interval},
        &log);
    return accounting;
  }
  accounting->store_ = *std::move(store);
  accounting->journal_log_ = std::make_unique<JournalLog>(log);
  auto journal = journal::Journal::open(
      {.dir = settings.journal_dir(),
       .boot_id = boot_id,
       .segment_bytes = settings.journal.segment,
       .sync = settings.journal.sync,
       .on_full = settings.journal.on_full == config::OnFull::kRefuse ? journal::Journal::OnFull::kRefuse
                                                                      : journal::Journal::OnFull::kContinue,
       .deliver_interval = settings.journal.sink_interval,
       .deliver_batch = settings.journal.sink_batch,
       .keep = std::chrono::duration_cast<std::chrono::hours>(settings.audit.keep)},
      clock, accounting->store_.get(), accounting->journal_log_.get());
  if (!journal.ok()) return journal.status();
  accounting->journal_ = *std::move(journal);
  if (absl::Status delivered = accounting->journal_->deliver(); !delivered.ok()) return delivered;
  if (const journal::Recovery& found = accounting->journal_->recovery(); found.segments != 0) {
    log.info("journal replayed", {{"segments", found.segments},
                                  {"records", found.records},
                                  {"settled", found.settled},
                                  {"crashed", found.crashed},
                                  {"torn", found.torn}});
  }
  return accounting;
}

}  // namespace sluice::server
