// Moves audit records from the workers to the store on a thread of its own, in batches.
//
//   workers ──record()──▶ ring of fixed slots ──▶ thread ──add()──▶ store
//
// A store that fails is asked again; meanwhile the ring fills, and what finds no room is counted, logged and lost.
// Asking again is safe: the store keeps one record of each (boot_id, number).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "journal/audit_record.h"
#include "observe/log.h"
#include "store/store.h"

namespace sluice::store {

// Thread:   record() from any worker, lock-free, without waiting; counts from any thread; flush() from the control
//           thread.
// Lifetime: outlives every worker; the destructor stores what it can within Options::last_try.
class QueuedAuditSink final : public journal::AuditSink {
 public:
  struct Options {
    std::size_t capacity = 16'384;  // records; a power of two
    std::size_t batch = 4'096;
    std::chrono::milliseconds interval{200};
    std::chrono::milliseconds retry_cap{5'000};
    std::chrono::milliseconds last_try{5'000};
  };
  // The sink owns its store: no other thread may use it. `log` may be null.
  QueuedAuditSink(std::unique_ptr<Store> store, Options options, observe::Log* log);
  ~QueuedAuditSink() override;

  void record(journal::AuditRecord&& record) noexcept override;

  enum class Flushed : std::uint8_t { kAll, kNotInTime };
  // Waits until what was recorded before the call has been stored.
  Flushed flush(std::chrono::milliseconds limit) noexcept;

  // While the lock is held no record moves to the store: what is there and what each_queued() shows stays apart.
  [[nodiscard]] std::unique_lock<std::mutex> hold_delivery() { return std::unique_lock(deliver_mutex_); }
  // Every record that the store has not taken. REQUIRES: hold_delivery().
  void each_queued(const std::function<void(const journal::AuditRecord&)>& visit) const;

  [[nodiscard]] std::uint64_t recorded() const noexcept { return accepted_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t stored() const noexcept { return stored_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_.load(std::memory_order_relaxed); }

 private:
  // A slot is free for position p when turn == p, filled when turn == p + 1.
  struct Slot {
    std::atomic<std::uint64_t> turn{0};
    journal::AuditRecord record;
  };
  void run() noexcept;
  void take_batch();
  [[nodiscard]] bool store_batch() noexcept;
  struct Moved {
    bool some = false, stored = false;
  };
  Moved move_batch() noexcept;
  void wait(std::chrono::milliseconds time) noexcept;
  void wake() noexcept;

  const Options options_;
  const std::uint64_t mask_;
  observe::Log* const log_;
  std::unique_ptr<Slot[]> slots_;
  alignas(64) std::atomic<std::uint64_t> head_{0};  // next position to fill
  alignas(64) std::atomic<std::uint64_t> tail_{0};  // next position to drain; written by the thread alone
  std::atomic<std::uint64_t> accepted_{0}, stored_{0}, dropped_{0}, failures_{0};
  std::uint64_t told_dropped_ = 0;

  std::mutex deliver_mutex_;  // of the next two, and of slots between tail_ and head_
  std::unique_ptr<Store> store_;
  std::vector<journal::AuditRecord> batch_;
  int wake_fd_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace sluice::store
