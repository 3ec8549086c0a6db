#include "server/restore_command.h"

#include <absl/time/clock.h>
#include <absl/time/time.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/files.h"
#include "config/loader.h"
#include "identity/scope_key.h"
#include "journal/deliver_again.h"
#include "journal/verify.h"
#include "server/backup.h"
#include "server/state_folder.h"

namespace sluice::server {
namespace {

namespace fs = std::filesystem;

absl::Status disk_error(const std::string& path, int reason) {
  return absl::UnavailableError("cannot write " + path + ": " + std::strerror(reason));
}

// A backup on its way back to its place.
class Restore final {
 public:
  Restore(std::string file, const config::Settings& settings)
      : file_(std::move(file)),
        state_(settings.server.state_dir),
        store_(settings.store_path()),
        journal_(settings.journal_dir()),
        journal_on_(settings.journal.enabled),
        aside_(".replaced-" + absl::FormatTime("%Y%m%dT%H%M%E6SZ", absl::Now(), absl::UTCTimeZone())) {}

  // The store is replaced last and in one step: until then the old one is whole in its place.
  absl::Status run() {
    for (const auto step : {&Restore::read, &Restore::make_room, &Restore::look_for_log, &Restore::restore_journal,
                            &Restore::make_store, &Restore::restore_keys, &Restore::replace_store}) {
      if (absl::Status done = (this->*step)(); !done.ok()) return done;
    }
    return absl::OkStatus();
  }

  void tell() const {
    std::printf("restored %s from the backup of %s\n", store_.c_str(), taken().c_str());
    for (const std::string& path : set_aside_) std::printf("set aside: %s\n", path.c_str());
    if (log_) {
      std::printf("done again from %s: %zu revocations\n", log_path().c_str(), counts_.revoked);
      return;
    }
    std::printf(
        "%s.\nWhat was revoked since the backup is not known, so %zu keys and %zu agents are suspended. Start the "
        "gateway, revoke what must stay revoked, then run: sluice resume\n",
        why_no_log_.c_str(), counts_.suspended_keys, counts_.suspended_agents);
  }

 private:
  absl::Status read();
  absl::Status make_room();
  absl::Status look_for_log();
  absl::Status restore_journal();
  absl::Status make_store();
  absl::Status restore_keys();
  absl::Status replace_store();

  absl::StatusOr<std::uint64_t> number(const char* name) const;
  absl::Status put(const std::string& path, const std::string& bytes);
  absl::Status put_aside(const std::string& path);
  // As whoever owns the state folder: root may restore for the user that the gateway runs as.
  absl::Status give_to_owner(const std::string& path) const;
  [[nodiscard]] std::string log_path() const { return store::RevocationLog::path_of(state_, store_id_); }
  [[nodiscard]] std::string fresh_store() const { return store_ + ".restored"; }
  [[nodiscard]] std::string taken() const;

  const std::string file_, state_, store_, journal_;
  const bool journal_on_;
  const std::string aside_;
  std::optional<StateFolder> folder_;  // nobody else's while this lives
  store::BackupParts parts_;
  std::string store_id_;
  std::optional<std::vector<store::Revocation>> log_;
  std::string why_no_log_;
  store::HighestIds given_;
  store::BroughtBack counts_;
  std::vector<std::string> set_aside_;
};

absl::Status Restore::read() {
  auto parts = store::read_backup(file_);
  if (!parts.ok()) return parts.status();
  parts_ = *std::move(parts);
  for (const char* name :
       {part::kCaKey, part::kCaCertificate, part::kRevocationLog, part::kRevocationBytes, part::kStoreId})
    if (!parts_.contains(name)) return absl::DataLossError("the backup " + file_ + " lacks its " + name);
  const auto scope = parts_.find(part::kScopeKey);
  if (scope != parts_.end() && scope->second.size() != identity::ScopeKey::kBytes)
    return absl::DataLossError(fmt::format("the backup {} is damaged: its {} has {} bytes of {}", file_,
                                           part::kScopeKey, scope->second.size(), identity::ScopeKey::kBytes));
  store_id_ = parts_[part::kStoreId];
  return absl::OkStatus();
}

absl::Status Restore::make_room() {
  auto folder = StateFolder::take(state_);
  if (!folder.ok()) return folder.status();
  folder_.emplace(*std::move(folder));
  struct stat info {};
  if (::stat(store_.c_str(), &info) != 0) return absl::OkStatus();
  // One that is damaged is set aside as it is, with its WAL.
  const absl::Status folded = store::fold_wal(store_);
  if (!folded.ok() && !absl::IsDataLoss(folded)) return folded;
  given_ = store::highest_ids(store_);
  return absl::OkStatus();
}

absl::Status Restore::look_for_log() {
  const auto bytes = number(part::kRevocationBytes);
  if (!bytes.ok()) return bytes.status();
  auto log = store::read_revocations(log_path(), {.log_id = parts_[part::kRevocationLog], .bytes = *bytes});
  if (log.ok())
    log_ = *std::move(log);
  else
    why_no_log_ = std::string(log.status().message());
  return absl::OkStatus();
}

// The journal of the same gateway stays, and gives the store what it has not; another's is set aside.
absl::Status Restore::restore_journal() {
  const auto key = parts_.find(part::kSealKey);
  if (key == parts_.end() || !journal_on_) return absl::OkStatus();
  std::error_code ec;
  const bool there = fs::exists(journal_, ec) && !fs::is_empty(journal_, ec);
  const auto own = there ? journal::read_seal_key(journal_) : absl::StatusOr<std::string>(absl::NotFoundError(""));
  if (there && own.ok() && *own != key->second)
    if (absl::Status moved = put_aside(journal_); !moved.ok()) return moved;
  fs::create_directories(journal_, ec);
  if (ec) return absl::UnavailableError("cannot make " + journal_ + ": " + ec.message());
  if (absl::Status given = give_to_owner(journal_); !given.ok()) return given;
  if (!own.ok() || *own != key->second)
    if (absl::Status written = put(journal::Journal::key_path(journal_), key->second); !written.ok()) return written;
  const auto segment = number(part::kJournalSegment), records = number(part::kJournalRecords);
  if (!segment.ok()) return segment.status();
  if (!records.ok()) return records.status();
  const auto seen = journal::deliver_again(journal_, {.segment = *segment, .records = *records});
  if (!seen.ok()) return seen.status();
  given_.raise_to({.tenant = seen->tenant, .user = seen->user, .key = seen->key});
  return absl::OkStatus();
}

absl::Status Restore::make_store() {
  fs::path folder = fs::path(store_).parent_path();
  std::error_code ec;
  fs::create_directories(folder, ec);
  ::unlink(fresh_store().c_str());  // of a restore that was cut off
  const WallTime now = std::chrono::time_point_cast<WallTime::duration>(std::chrono::system_clock::now());
  const auto counts = store::bring_back(file_, fresh_store(), log_, given_, now);
  if (!counts.ok()) return counts.status();
  counts_ = *counts;
  return give_to_owner(fresh_store());
}

absl::Status Restore::restore_keys() {
  for (const char* name : {part::kCaKey, part::kCaCertificate, part::kScopeKey}) {
    if (!parts_.contains(name)) continue;  // of an older backup: the next start makes one if there is none
    const std::string path = state_ + "/" + name;
    std::string now;
    if (read_whole_file(path, 64u << 10, now) == 0) {
      if (now == parts_[name]) continue;
      if (absl::Status moved = put_aside(path); !moved.ok()) return moved;
    }
    if (absl::Status written = put(path, parts_[name]); !written.ok()) return written;
  }
  return absl::OkStatus();
}

absl::Status Restore::replace_store() {
  // The old store's WAL goes first: SQLite would take it for the new one's.
  for (const char* end : {"-wal", "-shm"}) {
    if (::access((store_ + end).c_str(), F_OK) != 0) continue;
    if (absl::Status moved = put_aside(store_ + end); !moved.ok()) return moved;
  }
  if (::access(store_.c_str(), F_OK) == 0) {
    const std::string aside = store_ + aside_;
    if (::link(store_.c_str(), aside.c_str()) != 0) return disk_error(aside, errno);
    set_aside_.push_back(aside);
  }
  if (::rename(fresh_store().c_str(), store_.c_str()) != 0) return disk_error(store_, errno);
  const int failed = sync_folder_of(store_);
  return failed == 0 ? absl::OkStatus() : disk_error(store_, failed);
}

absl::StatusOr<std::uint64_t> Restore::number(const char* name) const {
  const auto found = parts_.find(name);
  std::uint64_t value = 0;
  const std::string text = found == parts_.end() ? std::string() : found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size()) return value;
  return absl::DataLossError("the backup " + file_ + " lacks its " + name);
}

std::string Restore::taken() const {
  const auto micros = number(part::kTaken);
  return micros.ok() ? absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMicros(static_cast<std::int64_t>(*micros)),
                                        absl::UTCTimeZone())
                     : std::string("an unknown time");
}

absl::Status Restore::put(const std::string& path, const std::string& bytes) {
  if (const int failed = write_private_file(path, bytes); failed != 0) return disk_error(path, failed);
  return give_to_owner(path);
}

absl::Status Restore::put_aside(const std::string& path) {
  const std::string aside = path + aside_;
  if (const int failed = rename_to_new(path, aside); failed != 0) return disk_error(aside, failed);
  set_aside_.push_back(aside);
  return absl::OkStatus();
}

absl::Status Restore::give_to_owner(const std::string& path) const {
  struct stat owner {};
  if (::geteuid() != 0) return absl::OkStatus();
  if (::stat(state_.c_str(), &owner) == 0 && ::chown(path.c_str(), owner.st_uid, owner.st_gid) == 0)
    return absl::OkStatus();
  return disk_error(path, errno);
}

}  // namespace

int restore_command(const std::string& file, const std::string& conf_path,
                    std::span<const config::KnownPolicy> known_policies) {
  const config::LoadResult loaded =
      config::load_file(conf_path, {.files = config::Files::kTrust, .known_policies = known_policies});
  for (const config::Diagnostic& diagnostic : loaded.diagnostics)
    std::fprintf(stderr, "%s\n", diagnostic.to_string().c_str());
  if (!loaded.good()) return 1;
  Restore restore(file, loaded.settings);
  if (const absl::Status done = restore.run(); !done.ok()) {
    std::fprintf(stderr, "sluice: not restored: %s\n", std::string(done.message()).c_str());
    return 1;
  }
  restore.tell();
  return 0;
}

}  // namespace sluice::server
