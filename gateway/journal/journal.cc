// Journal: what workers do, and the three threads.
#include "journal/journal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/background.h"

namespace sluice::journal {
namespace {

// Beside one slot for the end of every call that is open: threads that looked at the same time must all fit.
std::uint64_t margin(const Segment& segment) noexcept { return std::min<std::uint64_t>(segment.slots() / 8, 1'024); }

// Kept for the text of an end. One that is longer than what is left is left out; its numbers never are.
constexpr std::size_t kUsualTextBytes = 256;

}  // namespace

Journal::Journal(Options options, const Clock& clock, UsageStore* store, JournalEvents* events, JournalDisk* disk)
    : options_(std::move(options)),
      clock_(clock),
      store_(store),
      events_(events),
      disk_(disk == nullptr ? own_disk_ : *disk) {}

absl::StatusOr<std::unique_ptr<Journal>> Journal::open(Options options, const Clock& clock, UsageStore* store,
                                                       JournalEvents* events, JournalDisk* disk) {
  std::unique_ptr<Journal> journal(new Journal(std::move(options), clock, store, events, disk));
  if (absl::Status status = journal->recover(); !status.ok()) return status;
  journal->keep_turn();
  journal->threads_.emplace_back(&Journal::run, journal.get(), "journal-sync", journal->options_.sync,
                                 &Journal::sync_turn);
  journal->threads_.emplace_back(&Journal::run, journal.get(), "journal-keep", std::chrono::milliseconds(5),
                                 &Journal::keep_turn);
  if (store != nullptr) {
    journal->threads_.emplace_back(&Journal::run, journal.get(), "journal-store", journal->options_.deliver_interval,
                                   &Journal::deliver_turn);
  }
  return journal;
}

Journal::~Journal() {
  {
    const std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  if (Segment* active = active_.load()) {
    // Unused, so the next start may have its number.
    if (Segment* next = next_.load()) {
      ::unlink(next->path().c_str());
      const std::lock_guard lock(segments_mutex_);
      segments_.pop_back();
    }
    active_.store(nullptr);
    (void)active;
    seal_closed();
    if (store_ != nullptr) (void)deliver();
  }
  if (lock_fd_ >= 0) ::close(lock_fd_);
}

// --- workers ---

bool Journal::spare(const Segment& segment) const noexcept {
  if (next_.load(std::memory_order_acquire) != nullptr) return true;
  const std::uint64_t open = open_.load(std::memory_order_relaxed);
  return segment.room() > open + margin(segment) &&
         segment.has_text_room(open * kUsualTextBytes + segment.text_bytes() / 8);
}

bool Journal::append(SlotBytes& slot, std::string_view text, Room room, std::uint32_t* segment_number) noexcept {
  slot.written_us = clock_.wall().time_since_epoch().count();
  for (;;) {
    Segment* segment = active_.load(std::memory_order_acquire);
    Segment* next = next_.load(std::memory_order_acquire);
    if (next == segment) continue;  // somebody is between the two steps below
    if (room == Room::kSpare && next == nullptr && !spare(*segment)) return false;
    const bool tight = !text.empty() && next != nullptr && !segment->has_text_room(text.size());
    const std::uint64_t index = tight ? Segment::kFull : segment->claim();
    if (index == Segment::kFull) {
      if (next != nullptr) {
        if (active_.compare_exchange_strong(segment, next, std::memory_order_acq_rel)) {
          next_.compare_exchange_strong(next, nullptr, std::memory_order_acq_rel);
        }
      } else if (active_.load(std::memory_order_acquire) == segment) {
        return false;
      }
      continue;
    }
    slot.text_at = text.empty() ? Segment::kNoText : segment->put_text(text);
    slot.text_bytes = slot.text_at == Segment::kNoText ? 0 : static_cast<std::uint32_t>(text.size());
    const auto number = static_cast<std::uint32_t>(segment->sequence());
    if (segment_number != nullptr) slot.admit_segment = *segment_number = number;
    segment->publish(index, slot);
    return true;
  }
}

Journal::Admission Journal::admit(const JournalAdmit& call) noexcept {
  const auto no_room = [&]() -> Admission {
    if (options_.on_full == OnFull::kRefuse) return {Admission::Outcome::kNoRoom, 0};
    unjournalled_.fetch_add(1, std::memory_order_relaxed);
    return {Admission::Outcome::kUnjournalled, 0};
  };
  // Counted first, so that the room for its end is kept from here on.
  open_.fetch_add(1, std::memory_order_acq_rel);
  SlotBytes slot;
  clear(slot);
  slot.kind = RecordKind::kAdmit;
  slot.flags = call.stream ? kFlagStream : 0;
  slot.boot_id = options_.boot_id;
  slot.number = call.number;
  slot.day_us = call.day_us;
  slot.began_us = call.began_us;
  slot.tenant_id = call.tenant_id;
  slot.user_id = call.user_id;
  slot.key_id = call.key_id;
  slot.admit = {.prompt_estimate = call.prompt_estimate,
                .reserved_output = call.reserved_output,
                .price_prompt = call.price.prompt,
                .price_cached = call.price.cached,
                .price_completion = call.price.completion,
                .price_reasoning = call.price.reasoning};
  char text[kMaxAdmitText];
  const std::size_t size = write_admit_text(call.request_id, call.model, text);
  Admission admission{Admission::Outcome::kJournalled, 0};
  if (append(slot, {text, size}, Room::kSpare, &admission.segment)) return admission;
  open_.fetch_sub(1, std::memory_order_acq_rel);
  return no_room();
}

void Journal::progress(std::uint64_t number, std::uint32_t admit_segment, std::uint64_t completion_tokens) noexcept {
  SlotBytes slot;
  clear(slot);
  slot.kind = RecordKind::kProgress;
  slot.boot_id = options_.boot_id;
  slot.number = number;
  slot.admit_segment = admit_segment;
  slot.progress.completion_tokens = completion_tokens;
  if (!append(slot, {}, Room::kSpare)) left_out_.fetch_add(1, std::memory_order_relaxed);
}

void Journal::record(AuditRecord&& record) noexcept {
  SlotBytes slot = settle_of(record);
  char text[kMaxTextBytes];
  const std::size_t size = write_text(record, text);
  const bool admitted = record.admit_segment != 0;
  ended_.fetch_add(1, std::memory_order_relaxed);
  if (!append(slot, {text, size}, admitted ? Room::kKept : Room::kSpare))
    left_out_.fetch_add(1, std::memory_order_relaxed);
  if (admitted) open_.fetch_sub(1, std::memory_order_acq_rel);
}

AuditSink::Recorded Journal::record_if_room(const AuditRecord& record) noexcept {
  SlotBytes slot = settle_of(record);
  char text[kMaxTextBytes];
  const std::size_t size = write_text(record, text);
  if (!append(slot, {text, size}, Room::kSpare)) return Recorded::kNoRoom;
  ended_.fetch_add(1, std::memory_order_relaxed);
  return Recorded::kYes;
}

// --- threads ---

void Journal::run(const char* name, std::chrono::milliseconds interval, void (Journal::*turn)()) {
  name_thread(name);
  std::unique_lock lock(stop_mutex_);
  while (!stop_.wait_for(lock, interval, [&] { return stopping_; })) {
    lock.unlock();
    (this->*turn)();
    lock.lock();
  }
}

void Journal::sync_turn() {
  const std::lock_guard unmap(unmap_mutex_);
  std::vector<Segment*> unsealed;
  {
    const std::lock_guard lock(segments_mutex_);
    for (std::size_t i = first_unsealed_; i < segments_.size(); ++i) {
      if (segments_[i].age != SegmentEntry::Age::kSealed) unsealed.push_back(segments_[i].segment.get());
    }
  }
  int error = 0;
  for (Segment* segment : unsealed) {
    if (const int failed = segment->sync(disk_); failed != 0) error = failed;
  }
  if (error != 0 && !std::exchange(sync_failed_, true) && events_ != nullptr)
    events_->disk_failed(std::strerror(error));
  if (error == 0 && std::exchange(sync_failed_, false) && events_ != nullptr) events_->disk_recovered();
}

void Journal::sync_now() { sync_turn(); }

void Journal::keep_turn() {
  if (next_.load(std::memory_order_acquire) == nullptr) {
    // A full disk is asked again once a second, not two hundred times.
    const MonoTime now = Mono::now();
    if (!full_.load(std::memory_order_relaxed) || now >= retry_at_) {
      retry_at_ = now + std::chrono::seconds(1);
      const absl::Status made = make_segment(next_);
      const bool was_full = full_.exchange(!made.ok(), std::memory_order_acq_rel);
      if (!made.ok() && !was_full && events_ != nullptr) events_->journal_full(std::string(made.message()));
      if (made.ok() && was_full && events_ != nullptr) events_->journal_recovered();
    }
  }
  seal_closed();
}

absl::Status Journal::make_segment(std::atomic<Segment*>& into) {
  const std::uint64_t sequence = next_sequence_;
  auto segment = Segment::create(segment_path(options_.dir, sequence), options_.segment_bytes, sequence,
                                 options_.boot_id, clock_.wall(), disk_);
  if (!segment.ok()) return segment.status();
  ++next_sequence_;
  Segment* made = segment->get();
  {
    const std::lock_guard lock(segments_mutex_);
    segments_.push_back(SegmentEntry{.segment = std::move(*segment), .seal = {}});
  }
  into.store(made, std::memory_order_release);
  return absl::OkStatus();
}

// Closes and seals, in order, every segment that workers have left behind.
void Journal::seal_closed() {
  const Segment* active = active_.load(std::memory_order_acquire);
  for (;;) {
    SegmentEntry* entry = nullptr;
    {
      const std::lock_guard lock(segments_mutex_);
      if (first_unsealed_ == segments_.size()) return;
      entry = &segments_[first_unsealed_];
    }
    Segment& segment = *entry->segment;
    if (active != nullptr && segment.sequence() >= active->sequence()) return;
    if (entry->age == SegmentEntry::Age::kOpen) {
      const std::uint64_t records = segment.close();
      const std::lock_guard lock(segments_mutex_);
      entry->records = records;
      entry->age = SegmentEntry::Age::kClosed;
    }
    if (!entry->found && !segment.published(entry->records))
      return;  // somebody is still writing the slot he has claimed
    const Seal seal = segment.seal(key_, last_mac_, entry->records, disk_);
    last_mac_ = seal.mac;
    const std::lock_guard lock(segments_mutex_);
    entry->seal = seal;
    entry->age = SegmentEntry::Age::kSealed;
    ++first_unsealed_;
  }
}

}  // namespace sluice::journal
