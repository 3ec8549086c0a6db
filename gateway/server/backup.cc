#include "server/backup.h"

#include <cstring>
#include <filesystem>
#include <utility>

#include "base/background.h"
#include "base/files.h"
#include "base/version.h"
#include "journal/journal.h"

namespace sluice::server {
namespace {

constexpr std::size_t kMostBytes = 64u << 10;

absl::Status add_file(store::BackupParts& parts, const char* name, const std::string& path) {
  const int failed = read_whole_file(path, kMostBytes, parts[name]);
  if (failed == 0) return absl::OkStatus();
  return absl::UnavailableError("cannot read " + path + ": " + std::strerror(failed));
}

}  // namespace

absl::StatusOr<store::BackupParts> backup_parts(const config::Settings& settings, Accounting& accounting,
                                                const store::RevocationLog& revocations, const std::string& store_id,
                                                WallTime now) {
  store::BackupParts parts{{part::kTaken, std::to_string(now.time_since_epoch().count())},
                           {part::kVersion, kVersion},
                           {part::kStoreId, store_id},
                           {part::kRevocationLog, revocations.mark().log_id},
                           {part::kRevocationBytes, std::to_string(revocations.mark().bytes)}};
  const std::string& state = settings.server.state_dir;
  for (const char* name : {part::kCaKey, part::kCaCertificate, part::kScopeKey})
    if (absl::Status read = add_file(parts, name, state + "/" + name); !read.ok()) return read;
  if (journal::Journal* journal = accounting.journal()) {
    const std::string key = journal::Journal::key_path(settings.journal_dir());
    if (absl::Status read = add_file(parts, part::kSealKey, key); !read.ok()) return read;
    const journal::JournalPosition stored = journal->stored_up_to();
    parts[part::kJournalSegment] = std::to_string(stored.segment);
    parts[part::kJournalRecords] = std::to_string(stored.records);
  }
  return parts;
}

json::object backup_shown(const std::string& file, const store::RevocationLog& revocations) {
  std::error_code none;
  return {{"file", file}, {"bytes", std::filesystem::file_size(file, none)}, {"revocations_log", revocations.path()}};
}

BackupRun::BackupRun(net::Loop& loop, std::string store_path, store::BackupParts parts, std::string file)
    : loop_(loop), done_(loop) {
  thread_ = std::thread([this, store_path = std::move(store_path), parts = std::move(parts), file = std::move(file)] {
    name_thread("backup");
    absl::Status result = store::write_backup(store_path, parts, file, cancelled_);
    loop_.post([this, result = std::move(result)]() mutable {
      result_ = std::move(result);
      ended_ = true;
      done_.notify();
    });
  });
}

BackupRun::~BackupRun() {
  cancel();
  thread_.join();
}

Task<absl::Status> BackupRun::wait(net::Deadline deadline) {
  while (!ended_ && !deadline.passed()) (void)co_await done_.wait(deadline);
  if (!ended_) cancel();
  while (!ended_) (void)co_await done_.wait();
  co_return result_;
}

}  // namespace sluice::server
