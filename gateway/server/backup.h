// A backup of the running gateway: the store and, beside it, what the store cannot be used without.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <string>
#include <thread>

#include "base/json.h"
#include "base/task.h"
#include "config/settings.h"
#include "net/loop.h"
#include "net/signal.h"
#include "server/accounting.h"
#include "store/backup.h"
#include "store/revocation_log.h"

namespace sluice::server {

// What stands in a backup beside the store's tables; restore asks for these names.
namespace part {
inline constexpr const char* kCaKey = "ca-key.pem";
inline constexpr const char* kCaCertificate = "ca-certificate.pem";
inline constexpr const char* kScopeKey = "scope.key";              // absent: written before it was in backups
inline constexpr const char* kSealKey = "seal.key";                // absent: the journal was off
inline constexpr const char* kJournalSegment = "journal.segment";  // the store has everything before this one
inline constexpr const char* kJournalRecords = "journal.records";  // and so many records of it
inline constexpr const char* kRevocationLog = "revocations.log_id";
inline constexpr const char* kRevocationBytes = "revocations.bytes";
inline constexpr const char* kStoreId = "store_id";
inline constexpr const char* kTaken = "taken_us";
inline constexpr const char* kVersion = "sluice_version";
}  // namespace part

// To be asked before the copy begins: what the store takes afterwards, journal and log still have.
[[nodiscard]] absl::StatusOr<store::BackupParts> backup_parts(const config::Settings& settings, Accounting& accounting,
                                                              const store::RevocationLog& revocations,
                                                              const std::string& store_id, WallTime now);
// For who asked: the file, its size, and the log to keep beside it.
[[nodiscard]] json::object backup_shown(const std::string& file, const store::RevocationLog& revocations);

// One backup, on a thread of its own.
// Thread:   made, waited for, cancelled and destroyed on the loop's thread.
// Lifetime: the destructor waits for the thread, which a cancel() ends within a slice.
class BackupRun final {
 public:
  BackupRun(net::Loop& loop, std::string store_path, store::BackupParts parts, std::string file);
  BackupRun(const BackupRun&) = delete;
  BackupRun& operator=(const BackupRun&) = delete;
  ~BackupRun();

  // Returns once the file is there or has failed. At the deadline it is cancelled. REQUIRES: called once.
  Task<absl::Status> wait(net::Deadline deadline);
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }

 private:
  net::Loop& loop_;
  net::Signal done_;
  absl::Status result_;
  bool ended_ = false;
  std::atomic<bool> cancelled_{false};
  std::thread thread_;
};

}  // namespace sluice::server
