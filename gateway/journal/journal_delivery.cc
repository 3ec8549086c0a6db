// Journal: what moves to the store, and when a segment is done.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/background.h"
#include "journal/journal.h"

namespace sluice::journal {

void Journal::deliver_turn() {
  const absl::Status status = deliver();
  if (!status.ok() && !std::exchange(store_down_, true) && events_ != nullptr)
    events_->store_failed(std::string(status.message()));
  if (status.ok() && std::exchange(store_down_, false) && events_ != nullptr) events_->store_recovered();
}

// Reads on from `position` in `entry`: ends into batch_, and which segments' calls were admitted or have ended into
// `counts_`. Returns where it stopped: at the batch's bound, at a slot that is not written yet, or at the end.
std::uint64_t Journal::collect(const SegmentEntry& entry, std::uint64_t position, std::uint64_t limit, bool closed) {
  SlotBytes slot;
  constexpr std::uint64_t kSlotsInARow = 256;
  for (; position < limit && batch_.size() < options_.deliver_batch; ++position) {
    if (position % kSlotsInARow == 0) give_way();
    const Segment::Read read = entry.segment->read(position, slot);
    if (read != Segment::Read::kRecord) {
      if (!closed) break;
      continue;  // cut after a crash
    }
    if (slot.kind == RecordKind::kAdmit) counts_.push_back({slot.admit_segment, +1});
    if (slot.kind != RecordKind::kSettle) continue;
    if (slot.admit_segment != 0) counts_.push_back({slot.admit_segment, -1});
    if (position >= entry.already) batch_.push_back(record_of(slot, entry.segment->text(slot)));
  }
  return position;
}

absl::Status Journal::deliver() {
  const std::lock_guard lock(deliver_mutex_);
  if (store_ == nullptr) return absl::FailedPreconditionError("no store");
  for (std::size_t i = first_undelivered_;; ++i) {
    SegmentEntry* entry = nullptr;
    std::uint64_t limit = 0;
    bool closed = false;
    const auto look = [&] {
      const std::lock_guard inner(segments_mutex_);
      if (i >= segments_.size()) return false;
      entry = &segments_[i];
      closed = entry->age == SegmentEntry::Age::kSealed;
      limit = closed ? entry->records : entry->segment->claimed();
      return true;
    };
    if (!look()) break;
    while (entry->read < limit) {
      batch_.clear();
      counts_.clear();
      const std::uint64_t read = collect(*entry, entry->read, limit, closed);
      if (read == entry->read) break;
      if (!batch_.empty()) {
        if (absl::Status status = store_->add(batch_); !status.ok()) return status;
        delivered_.fetch_add(batch_.size(), std::memory_order_relaxed);
      }
      entry->read = read;
      entry->segment->header().delivered_slots = std::max(entry->already, read);
      count_calls();
    }
    if (closed && !entry->seal_stored) {
      if (absl::Status status = store_->add_seal(entry->seal); !status.ok()) return status;
      entry->seal_stored = true;
    }
  }
  return retire();
}

JournalPosition Journal::stored_up_to() {
  const std::lock_guard lock(deliver_mutex_);
  const std::lock_guard inner(segments_mutex_);
  for (std::size_t i = first_undelivered_; i < segments_.size(); ++i) {
    const SegmentEntry& entry = segments_[i];
    if (entry.age != SegmentEntry::Age::kSealed || !entry.seal_stored || entry.read < entry.records)
      return {.segment = entry.segment->sequence(), .records = std::max(entry.read, entry.already)};
  }
  return {.segment = segments_.empty() ? 1 : segments_.back().segment->sequence() + 1, .records = 0};
}

void Journal::each_undelivered(const std::function<void(const AuditRecord&)>& visit) {
  for (std::size_t i = first_undelivered_;; ++i) {
    const SegmentEntry* entry = nullptr;
    std::uint64_t limit = 0;
    {
      const std::lock_guard lock(segments_mutex_);
      if (i >= segments_.size()) return;
      entry = &segments_[i];
      limit = entry->age == SegmentEntry::Age::kSealed ? entry->records : entry->segment->claimed();
    }
    SlotBytes slot;
    for (std::uint64_t position = std::max(entry->read, entry->already); position < limit; ++position) {
      if (entry->segment->read(position, slot) == Segment::Read::kRecord && slot.kind == RecordKind::kSettle)
        visit(record_of(slot, entry->segment->text(slot)));
    }
  }
}

void Journal::count_calls() {
  const std::lock_guard lock(segments_mutex_);
  for (const auto& [sequence, change] : counts_) {
    const std::uint64_t first = segments_.front().segment->sequence();
    if (sequence >= first && sequence - first < segments_.size()) segments_[sequence - first].open += change;
  }
}

// Marks segments whose every call has ended and is in the store. In order: what a later segment settles must not go
// before what it settles was read.
absl::Status Journal::retire() {
  for (;;) {
    SegmentEntry* entry = nullptr;
    {
      const std::lock_guard lock(segments_mutex_);
      if (first_undelivered_ == segments_.size()) return absl::OkStatus();
      entry = &segments_[first_undelivered_];
      if (entry->age != SegmentEntry::Age::kSealed || !entry->seal_stored || entry->read < entry->records ||
          entry->open != 0)
        return absl::OkStatus();
    }
    entry->segment->header().state = SegmentState::kDelivered;
    {
      const std::lock_guard unmap(unmap_mutex_);
      entry->segment->unmap();
    }
    ++first_undelivered_;
    remove_old();
  }
}

}  // namespace sluice::journal
