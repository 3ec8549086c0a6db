// Journal: what a start does with what it finds.
#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "journal/journal.h"
#include "journal/verify.h"
#include "ledger/price.h"

namespace sluice::journal {
namespace {

namespace fs = std::filesystem;

using CallId = std::pair<std::uint64_t, std::uint64_t>;  // boot id, number

// A call without an end.
struct OpenCall {
  SlotBytes admit{};
  std::string text;
  std::uint64_t completion_tokens = 0;
};

absl::Status with_errno(const std::string& what) { return absl::UnavailableError(what + ": " + std::strerror(errno)); }

Price price_of(const AdmitPart& admit) noexcept {
  return {admit.price_prompt, admit.price_cached, admit.price_completion, admit.price_reasoning};
}

// What it is charged: the prompt's estimate and what it was seen to generate; what was not streamed, its reservation.
AuditRecord crashed(const OpenCall& call) {
  AuditRecord record;
  const bool stream = (call.admit.flags & kFlagStream) != 0;
  record.boot_id = call.admit.boot_id;
  record.number = call.admit.number;
  record.began = WallTime(std::chrono::microseconds(call.admit.began_us));
  record.day_us = call.admit.day_us;
  record.admit_segment = call.admit.admit_segment;
  record.tenant_id = call.admit.tenant_id;
  record.user_id = call.admit.user_id;
  record.key_id = call.admit.key_id;
  record.end_reason = EndReason::kCrashed;
  record.stream = stream;
  record.usage.source = UsageSource::kEstimated;
  record.usage.prompt_tokens = call.admit.admit.prompt_estimate;
  record.usage.completion_tokens = stream ? call.completion_tokens : call.admit.admit.reserved_output;
  record.cost_micros = ledger::cost(price_of(call.admit.admit), record.usage);
  read_admit_text(call.text, record);
  return record;
}

}  // namespace

std::string Journal::segment_path(const std::string& dir, std::uint64_t sequence) {
  char name[32];
  std::snprintf(name, sizeof(name), "/%012llu.journal", static_cast<unsigned long long>(sequence));
  return dir + name;
}

absl::Status Journal::lock_and_key() {
  std::error_code error;
  fs::create_directories(options_.dir, error);
  if (error) return absl::UnavailableError("cannot make " + options_.dir + ": " + error.message());
  lock_fd_ = ::open((options_.dir + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0) return with_errno("cannot open " + options_.dir + "/lock");
  if (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    return absl::AlreadyExistsError("another gateway uses the journal in " + options_.dir +
                                    "; stop it or set journal.dir");
  }
  const std::string path = key_path(options_.dir);
  if (absl::StatusOr<std::string> key = read_seal_key(options_.dir); key.ok()) {
    key_ = *std::move(key);
    return absl::OkStatus();
  } else if (!absl::IsNotFound(key.status())) {
    return key.status();
  }
  unsigned char bytes[32];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1) return absl::InternalError("no random bytes for the seals' key");
  key_.assign(reinterpret_cast<const char*>(bytes), sizeof(bytes));
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return with_errno("cannot write " + fresh);
  const bool written = ::write(fd, key_.data(), key_.size()) == static_cast<ssize_t>(key_.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!written || ::rename(fresh.c_str(), path.c_str()) != 0) return with_errno("cannot write " + path);
  return absl::OkStatus();
}

absl::Status Journal::recover() {
  if (options_.boot_id == 0) return absl::InvalidArgumentError("a journal needs a boot id");
  if (absl::Status status = lock_and_key(); !status.ok()) return status;
  absl::StatusOr<std::vector<std::string>> files = list_segments(options_.dir);
  if (!files.ok()) return files.status();

  std::map<CallId, OpenCall> open;
  std::map<CallId, bool> ended;
  for (const std::string& path : *files) {
    absl::StatusOr<std::unique_ptr<Segment>> segment = Segment::open(path);
    if (!segment.ok()) return segment.status();
    SegmentHeader& header = (*segment)->header();
    next_sequence_ = std::max(next_sequence_, header.sequence + 1);
    if (header.state != SegmentState::kOpen) last_mac_ = header.mac;
    if (header.state == SegmentState::kDelivered) continue;
    SegmentEntry entry{.segment = nullptr,
                       .age = SegmentEntry::Age::kClosed,
                       .records = header.records,
                       .found = true,
                       .already = 0,
                       .seal = {}};
    if (header.state == SegmentState::kOpen) {
      entry.records = (*segment)->find_end();
      recovery_.torn += (*segment)->cut_torn(entry.records);
    } else {
      entry.age = SegmentEntry::Age::kSealed;
      entry.seal = {header.sequence, header.records, header.tokens, header.cost_micros, header.mac};
      ++first_unsealed_;
    }
    entry.already = std::min(header.delivered_slots, entry.records);
    ++recovery_.segments;
    SlotBytes slot;
    for (std::uint64_t i = 0; i < entry.records; ++i) {
      if ((*segment)->read(i, slot) != Segment::Read::kRecord) continue;
      ++recovery_.records;
      const CallId id{slot.boot_id, slot.number};
      if (slot.kind == RecordKind::kAdmit) {
        OpenCall& call = open[id];
        call.admit = slot;
        call.text = (*segment)->text(slot);
      } else if (slot.kind == RecordKind::kProgress) {
        const auto at = open.find(id);
        if (at != open.end())
          at->second.completion_tokens =
              std::max<std::uint64_t>(at->second.completion_tokens, slot.progress.completion_tokens);
      } else {
        ++recovery_.settled;
        open.erase(id);
      }
    }
    entry.segment = *std::move(segment);
    segments_.push_back(std::move(entry));
  }
  if (store_ != nullptr) {
    // The directory may have been lost while the store was not: sequences go on behind the last seal.
    if (const absl::StatusOr<std::vector<Seal>> seals = store_->seals();
        seals.ok() && !seals->empty() && seals->back().sequence >= next_sequence_) {
      next_sequence_ = seals->back().sequence + 1;
      last_mac_ = seals->back().mac;
    }
  }
  if (absl::Status status = make_segment(active_); !status.ok()) return status;
  // The ends go into the new segment under their own names, so that a crash in here, too, loses and doubles nothing.
  for (const auto& [id, call] : open) {
    open_.fetch_add(1, std::memory_order_relaxed);
    while (true) {
      if (active_.load()->room() > 1 && active_.load()->has_text_room(kMaxTextBytes)) break;
      if (absl::Status status = make_segment(active_); !status.ok()) return status;
    }
    record(crashed(call));
    ++recovery_.crashed;
  }
  sync_turn();
  seal_closed();
  return absl::OkStatus();
}

void Journal::remove_old() {
  const absl::StatusOr<std::vector<std::string>> files = list_segments(options_.dir);
  if (!files.ok()) return;
  const std::int64_t before =
      clock_.wall().time_since_epoch().count() - std::chrono::microseconds(options_.keep).count();
  // Never the last one: the next to be sealed stands on it.
  for (std::size_t i = 0; i + 1 < files->size(); ++i) {
    const auto state_of = [&](std::size_t which, SegmentHeader& header) {
      std::ifstream in((*files)[which], std::ios::binary);
      return in.read(reinterpret_cast<char*>(&header), sizeof(header)) ? header.state : SegmentState::kOpen;
    };
    SegmentHeader header{}, next{};
    if (state_of(i, header) != SegmentState::kDelivered || header.created_us >= before) return;
    if (state_of(i + 1, next) == SegmentState::kOpen) return;
    ::unlink((*files)[i].c_str());
  }
}

}  // namespace sluice::journal
