// One journal segment: a preallocated file in memory. Writers claim slots by one addition and write them by memcpy;
// what is written survives the process, and after the next sync also the machine.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "journal/journal_record.h"
#include "journal/usage_store.h"

namespace sluice::journal {

// What touches the disk, so that a test can fill it.
// Thread: any.
class JournalDisk {
 public:
  virtual ~JournalDisk() = default;
  // Gives the file `size_bytes` real blocks. Returns 0 or an errno: ENOSPC when the disk is full.
  [[nodiscard]] virtual int allocate(int fd, std::size_t size_bytes) noexcept;
  // Brings [begin, begin + size) of a mapping to the disk. Returns 0 or an errno.
  [[nodiscard]] virtual int sync(void* begin, std::size_t size_bytes) noexcept;
};

// Thread:   claim(), publish() and claim_text() from any worker; the rest from one control thread at a time (which may
//           run beside them).
// Lifetime: unmap() only when every claimed slot is published; the object itself stays as long as a worker may look at
//           it.
class Segment final {
 public:
  // A new file at `path`, with blocks for all of it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Segment>> create(const std::string& path, std::size_t size_bytes,
                                                                       std::uint64_t sequence, std::uint64_t boot_id,
                                                                       WallTime now, JournalDisk& disk);
  // A file that is there, of this format or of format 1, which is read and never appended to. Errors: DataLoss where it
  // is none of ours or cut short; FailedPrecondition where a newer version wrote it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Segment>> open(const std::string& path);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  static constexpr std::uint64_t kFull = ~std::uint64_t{0};
  static constexpr std::uint32_t kNoText = ~std::uint32_t{0};

  // The index of a slot that is the caller's, or kFull. What is claimed must be published.
  [[nodiscard]] std::uint64_t claim() noexcept {
    const std::uint64_t index = tail_.fetch_add(1, std::memory_order_acq_rel);
    return index < slots_ ? index : kFull;
  }
  // Room for a text of a claimed slot, or kNoText. Writes it, with its checksum.
  [[nodiscard]] std::uint32_t put_text(std::string_view text) noexcept;
  // REQUIRES: `index` was claimed by the caller.
  void publish(std::uint64_t index, SlotBytes& slot) noexcept;

  // Slots that nobody has claimed.
  [[nodiscard]] std::uint64_t room() const noexcept {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    return tail < slots_ ? slots_ - tail : 0;
  }
  [[nodiscard]] bool has_text_room(std::size_t bytes) const noexcept {
    return text_tail_.load(std::memory_order_relaxed) + bytes + 16 <= size_bytes_ - text_begin_;
  }
  // Of all texts.
  [[nodiscard]] std::size_t text_bytes() const noexcept { return size_bytes_ - text_begin_; }
  // Every slot below `end` has been written.
  [[nodiscard]] bool published(std::uint64_t end) const noexcept;
  // Ends claims. Returns how many slots were claimed; they are the segment's length.
  std::uint64_t close() noexcept;
  // Slots claimed so far.
  [[nodiscard]] std::uint64_t claimed() const noexcept {
    return std::min(tail_.load(std::memory_order_acquire), slots_);
  }

  enum class Read : std::uint8_t { kRecord, kEmpty, kTorn };
  // Copies slot `index` out.
  [[nodiscard]] Read read(std::uint64_t index, SlotBytes& into) const noexcept;
  // The text of a slot; empty: none, erased or torn. Valid until unmap().
  [[nodiscard]] std::string_view text(const SlotBytes& slot) const noexcept;
  // Of a file found at start: one behind the last slot that is not empty.
  [[nodiscard]] std::uint64_t find_end() const noexcept;
  // Makes torn slots empty, so that what is sealed reads the same for ever. Returns how many there were.
  std::uint64_t cut_torn(std::uint64_t end) noexcept;

  // Writes what was published since the last call to the disk. Returns 0 or an errno.
  [[nodiscard]] int sync(JournalDisk& disk) noexcept;
  // Closes the chain over [0, records): see journal_record.h.
  [[nodiscard]] Seal seal(std::string_view key, const std::array<std::uint8_t, 32>& mac_before, std::uint64_t records,
                          JournalDisk& disk);
  // The mac that the bytes have now.
  [[nodiscard]] std::array<std::uint8_t, 32> compute_mac(std::string_view key) const;
  void unmap() noexcept;

  [[nodiscard]] SegmentHeader& header() const noexcept { return *reinterpret_cast<SegmentHeader*>(base_); }
  [[nodiscard]] bool mapped() const noexcept { return base_ != nullptr; }
  [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
  [[nodiscard]] std::uint64_t slots() const noexcept { return slots_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  Segment() = default;
  [[nodiscard]] char* slot(std::uint64_t index) const noexcept { return base_ + kHeaderBytes + index * slot_bytes_; }
  [[nodiscard]] bool empty(std::uint64_t index) const noexcept;
  // 0: nothing has been written. What another thread wrote before it is visible.
  [[nodiscard]] std::uint64_t checksum(std::uint64_t index) const noexcept {
    return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(slot(index)), __ATOMIC_ACQUIRE);
  }
  [[nodiscard]] std::string_view whole_text(const SlotBytes& slot) const noexcept;

  std::string path_;
  char* base_ = nullptr;
  std::size_t size_bytes_ = 0;
  std::size_t slot_bytes_ = kSlotBytes;  // as the file's format has it
  std::uint64_t sequence_ = 0, salt_ = 0, slots_ = 0, text_begin_ = 0;
  std::uint64_t synced_slots_ = 0, synced_text_ = 0;  // sync thread
  alignas(64) std::atomic<std::uint64_t> tail_{0};    // slots claimed; beyond slots_: full
  std::atomic<std::uint64_t> text_tail_{0};           // bytes behind text_begin_
};

}  // namespace sluice::journal
