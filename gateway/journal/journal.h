// The usage journal: the truth for accounting. A call is admitted in it before its first byte goes upstream and settled
// in it at its end; what is in it reaches the store once, however often either side dies.
//
// kill -9 loses no appended record; power loss loses at most what the last `sync` interval appended. An admit without a
// settle is charged at the next start.
//
// Workers append. Three threads serve: one syncs, one keeps a fresh segment at hand and seals full ones, one moves
// ended calls to the store. A store that is down makes files wait, and nobody else.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "journal/audit_record.h"
#include "journal/segment.h"
#include "journal/usage_store.h"

namespace sluice::journal {

// What the journal has to say to an operator.
// Thread: the journal's own threads. Views are valid during the call.
class JournalEvents {
 public:
  virtual ~JournalEvents() = default;
  virtual void journal_full(std::string_view why) noexcept {
    (void)why;
  }                                             // no room for the next segment; calls are refused or unjournalled
  virtual void journal_recovered() noexcept {}  // there is room again
  virtual void store_failed(std::string_view why) noexcept { (void)why; }  // records wait in the journal
  virtual void store_recovered() noexcept {}
  virtual void disk_failed(std::string_view why) noexcept {
    (void)why;
  }                                          // a sync failed: the promise does not hold now
  virtual void disk_recovered() noexcept {}  // syncs work again
};

// What a start found and did.
struct Recovery {
  std::uint64_t segments = 0;  // not delivered before
  std::uint64_t records = 0;   // in them
  std::uint64_t settled = 0;   // ends among them
  std::uint64_t crashed = 0;   // calls that had no end and were charged now
  std::uint64_t torn = 0;      // records half written and cut
};

// Up to where the store has taken what the journal holds: every segment before this one, and so many of its records.
struct JournalPosition {
  std::uint64_t segment = 0;
  std::uint64_t records = 0;
};

// One call as the journal admits it.
struct JournalAdmit {
  std::uint64_t number = 0;
  std::int64_t day_us = 0;
  std::int64_t began_us = 0;
  std::uint64_t tenant_id = 0, user_id = 0, key_id = 0;
  std::uint64_t prompt_estimate = 0, reserved_output = 0;
  Price price{};
  bool stream = false;
  std::string_view model{};
  std::string_view request_id{};
};

// Thread:   admit(), progress() and record() from any worker: no lock, no allocation, no system call. The rest from the
//           owner's thread.
// Lifetime: outlives every call that it admitted. The destructor settles nothing: it seals what is there.
class Journal final : public AuditSink {
 public:
  enum class OnFull : std::uint8_t { kRefuse, kContinue };
  struct Options {
    std::string dir{};          // made if absent
    std::uint64_t boot_id = 0;  // not 0
    std::size_t segment_bytes = 64u << 20;
    std::chrono::milliseconds sync{10};
    OnFull on_full = OnFull::kRefuse;
    std::chrono::milliseconds deliver_interval{200};
    std::size_t deliver_batch = 4'096;
    std::chrono::hours keep{400 * 24};  // delivered segments
  };
  // Opens the directory, charges what a crash left open, and starts. `store` may be null: then records wait.
  // Errors: AlreadyExists where another process has the directory; what the disk says.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Journal>> open(Options options, const Clock& clock,
                                                                     UsageStore* store, JournalEvents* events = nullptr,
                                                                     JournalDisk* disk = nullptr);
  ~Journal() override;

  struct Admission {
    enum class Outcome : std::uint8_t { kJournalled, kUnjournalled, kNoRoom } outcome = Outcome::kNoRoom;
    std::uint32_t segment = 0;  // to be given back in the record's admit_segment
  };
  // kNoRoom: the call must be refused. kUnjournalled: the conf says to go on without.
  [[nodiscard]] Admission admit(const JournalAdmit& call) noexcept;
  // `completion_tokens` of a running stream have been counted. Left out where there is no room.
  void progress(std::uint64_t number, std::uint32_t admit_segment, std::uint64_t completion_tokens) noexcept;
  // The end of a call, admitted or refused. Room for the ends of admitted calls is always kept.
  void record(AuditRecord&& record) noexcept override;
  [[nodiscard]] Recorded record_if_room(const AuditRecord& record) noexcept override;

  // Moves everything that has ended to the store now. For the start, before budgets are restored, and for tests.
  [[nodiscard]] absl::Status deliver();
  // While the lock is held no record moves to the store: what is there and what each_undelivered() shows stays apart.
  [[nodiscard]] std::unique_lock<std::mutex> hold_delivery() { return std::unique_lock(deliver_mutex_); }
  // Every end that the store has not taken. REQUIRES: hold_delivery().
  void each_undelivered(const std::function<void(const AuditRecord&)>& visit);
  // What lies behind may be in the store as well; what lies before is.
  [[nodiscard]] JournalPosition stored_up_to();
  // Makes everything appended so far outlast the machine.
  void sync_now();
  [[nodiscard]] const Recovery& recovery() const noexcept { return recovery_; }

  // Ends of calls of this process, and how many ends have gone to the store (those of processes before it too).
  [[nodiscard]] std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t delivered() const noexcept { return delivered_.load(std::memory_order_relaxed); }
  // Records that found no room and were left out: ends of refused calls, progress.
  [[nodiscard]] std::uint64_t left_out() const noexcept { return left_out_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t unjournalled() const noexcept { return unjournalled_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t open_calls() const noexcept { return open_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool full() const noexcept { return full_.load(std::memory_order_relaxed); }

  // Where the seals' key is, made at the first start: 32 bytes, owner-only.
  [[nodiscard]] static std::string key_path(const std::string& dir) { return dir + "/seal.key"; }
  [[nodiscard]] static std::string segment_path(const std::string& dir, std::uint64_t sequence);

 private:
  Journal(Options options, const Clock& clock, UsageStore* store, JournalEvents* events, JournalDisk* disk);

  enum class Room : std::uint8_t { kKept, kSpare };  // kSpare: only beside what is kept for ends of admitted calls
  [[nodiscard]] bool append(SlotBytes& slot, std::string_view text, Room room,
                            std::uint32_t* segment = nullptr) noexcept;
  [[nodiscard]] bool spare(const Segment& segment) const noexcept;

  struct SegmentEntry;

  absl::Status recover();  // this and the next two: journal_recovery.cc
  absl::Status lock_and_key();
  void remove_old();

  // The three threads' turns; of delivery and of what it needs: journal_delivery.cc.
  void run(const char* name, std::chrono::milliseconds interval, void (Journal::*turn)());
  void sync_turn();
  void keep_turn();
  void deliver_turn();
  absl::Status make_segment(std::atomic<Segment*>& into);
  void seal_closed();
  std::uint64_t collect(const SegmentEntry& kept, std::uint64_t position, std::uint64_t limit, bool closed);
  void count_calls();
  absl::Status retire();

  const Options options_;
  const Clock& clock_;
  UsageStore* const store_;
  JournalEvents* const events_;
  JournalDisk own_disk_;
  JournalDisk& disk_;
  int lock_fd_ = -1;
  std::string key_;
  Recovery recovery_;

  // Writers.
  alignas(64) std::atomic<Segment*> active_{nullptr};
  std::atomic<Segment*> next_{nullptr};
  alignas(64) std::atomic<std::uint64_t> open_{0};  // admitted, not ended
  std::atomic<std::uint64_t> ended_{0}, delivered_{0}, left_out_{0}, unjournalled_{0};
  std::atomic<bool> full_{false};

  // Segments of this process in order, and before them those that it found undelivered. Never shrunk: a worker may
  // still look at an old one's tail.
  struct SegmentEntry {
    std::unique_ptr<Segment> segment;
    enum class Age : std::uint8_t { kOpen, kClosed, kSealed } age = Age::kOpen;
    std::uint64_t records = 0;  // once closed
    bool found = false;         // by recovery: may have holes
    std::uint64_t already = 0;  // slots that an earlier process delivered
    Seal seal;
    bool seal_stored = false;
    std::uint64_t read = 0;  // slots taken for delivery
    std::int64_t open = 0;   // calls admitted here, of those read, whose end has not been read
  };
  std::mutex segments_mutex_;  // of the deque's shape, `age`, `records` and `seal`; no worker takes it
  std::deque<SegmentEntry> segments_;
  std::size_t first_unsealed_ = 0;
  std::mutex unmap_mutex_;  // held while a mapping is synced, or goes
  bool sync_failed_ = false;

  // Keeper's thread.
  std::array<std::uint8_t, 32> last_mac_{};
  std::uint64_t next_sequence_ = 1;
  MonoTime retry_at_{};

  std::mutex deliver_mutex_;  // of what follows
  std::size_t first_undelivered_ = 0;
  std::vector<AuditRecord> batch_;
  std::vector<std::pair<std::uint32_t, std::int32_t>> counts_;  // segment, calls begun or ended
  bool store_down_ = false;

  std::mutex stop_mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::journal
