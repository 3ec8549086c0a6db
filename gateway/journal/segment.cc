#include "journal/segment.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/background.h"
#include "base/ids.h"
#include "journal/format1.h"

namespace sluice::journal {
namespace {

class Fd final {
 public:
  explicit Fd(int fd) noexcept : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

absl::Status disk_error(const char* what, const std::string& path, int error) {
  const std::string text = std::string(what) + " " + path + ": " + std::strerror(error);
  return error == ENOSPC || error == EDQUOT ? absl::ResourceExhaustedError(text) : absl::UnavailableError(text);
}

constexpr std::size_t kPage = 4096;
constexpr std::uint64_t kSlotsInARow = 256;  // 64 KiB, before a worker may have the core

// Faults the pages in, so that no worker has to. Best effort: an older kernel faults them one by one.
void populate(char* base, std::size_t size_bytes) noexcept {
  // Else the first fault in each of the disk's readahead windows (128 KiB as a rule, 8 MiB on some) clears the whole
  // window, and the kernel may not leave the core before it is done, however small our pieces are.
  (void)::madvise(base, size_bytes, MADV_RANDOM);
#ifdef MADV_POPULATE_WRITE
  constexpr std::size_t kPieceBytes = 64 * 1024;
  for (std::size_t done = 0; done < size_bytes; done += kPieceBytes) {
    if (::madvise(base + done, std::min(kPieceBytes, size_bytes - done), MADV_POPULATE_WRITE) != 0) return;
    give_way();
  }
#endif
}

}  // namespace

int JournalDisk::allocate(int fd, std::size_t size_bytes) noexcept {
  return ::posix_fallocate(fd, 0, static_cast<off_t>(size_bytes));
}
int JournalDisk::sync(void* begin, std::size_t size_bytes) noexcept {
  return ::msync(begin, size_bytes, MS_SYNC) == 0 ? 0 : errno;
}

absl::StatusOr<std::unique_ptr<Segment>> Segment::create(const std::string& path, std::size_t size_bytes,
                                                         std::uint64_t sequence, std::uint64_t boot_id, WallTime now,
                                                         JournalDisk& disk) {
  // Under another name until its header stands: a file that a crash left half made is not taken for a segment.
  const std::string fresh = path + ".new";
  const Fd fd(::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (fd.get() < 0) return disk_error("cannot create", fresh, errno);
  if (const int error = disk.allocate(fd.get(), size_bytes); error != 0) {
    ::unlink(fresh.c_str());
    return disk_error("no room for", fresh, error);
  }
  void* base = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) {
    const int error = errno;
    ::unlink(fresh.c_str());
    return disk_error("cannot map", fresh, error);
  }
  populate(static_cast<char*>(base), size_bytes);
  (void)::madvise(base, size_bytes, MADV_DONTDUMP);
  std::unique_ptr<Segment> segment(new Segment);
  segment->path_ = path;
  segment->base_ = static_cast<char*>(base);
  segment->size_bytes_ = size_bytes;
  // A call has two slots; so its texts have 256 bytes, and what is left of those of shorter ones.
  const std::size_t text_begin = (kHeaderBytes + (size_bytes - kHeaderBytes) / 3 * 2) / kPage * kPage;
  SegmentHeader& header = segment->header();
  std::memcpy(header.magic, kMagic, sizeof(header.magic));
  header.version = kJournalVersion;
  header.slot_bytes = kSlotBytes;
  header.sequence = segment->sequence_ = sequence;
  header.boot_id = boot_id;
  header.salt = segment->salt_ = random_id();
  header.slots = segment->slots_ = (text_begin - kHeaderBytes) / kSlotBytes;
  header.text_begin = segment->text_begin_ = text_begin;
  header.size = size_bytes;
  header.created_us = now.time_since_epoch().count();
  if (const int error = disk.sync(base, kHeaderBytes); error != 0) return disk_error("cannot write", fresh, error);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return disk_error("cannot rename", fresh, errno);
  const Fd dir(::open(path.substr(0, path.rfind('/')).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.get() >= 0) (void)::fsync(dir.get());  // the name must survive what the bytes survive
  return segment;
}

absl::StatusOr<std::unique_ptr<Segment>> Segment::open(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (fd.get() < 0) return disk_error("cannot open", path, errno);
  struct stat stat {};
  if (::fstat(fd.get(), &stat) != 0) return disk_error("cannot read", path, errno);
  const auto size = static_cast<std::size_t>(stat.st_size);
  if (size < kHeaderBytes) return absl::DataLossError("not a whole journal segment: " + path);
  void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) return disk_error("cannot map", path, errno);
  (void)::madvise(base, size, MADV_DONTDUMP);
  std::unique_ptr<Segment> segment(new Segment);
  segment->path_ = path;
  segment->base_ = static_cast<char*>(base);
  segment->size_bytes_ = size;
  const SegmentHeader& header = segment->header();
  const bool ours = std::memcmp(header.magic, kMagic, sizeof(header.magic)) == 0;
  if (ours && header.version > kJournalVersion) {
    return absl::FailedPreconditionError("written by a newer version of this program: " + path);
  }
  const std::size_t slot_bytes = header.version == format1::kVersion ? format1::kSlotBytes : kSlotBytes;
  if (!ours || header.version < format1::kVersion || header.slot_bytes != slot_bytes) {
    return absl::DataLossError("not a journal segment: " + path);
  }
  segment->slot_bytes_ = slot_bytes;
  const bool fits = header.slots <= (size - kHeaderBytes) / slot_bytes &&
                    header.text_begin >= kHeaderBytes + header.slots * slot_bytes && header.text_begin <= size &&
                    header.records <= header.slots;
  if (!fits) return absl::DataLossError("journal segment cut short: " + path);
  segment->sequence_ = header.sequence;
  segment->salt_ = header.salt;
  segment->slots_ = header.slots;
  segment->text_begin_ = header.text_begin;
  segment->tail_ = header.slots;  // nobody writes to it any more
  return segment;
}

Segment::~Segment() { unmap(); }

void Segment::unmap() noexcept {
  if (base_ != nullptr) ::munmap(base_, size_bytes_);
  base_ = nullptr;
}

std::uint32_t Segment::put_text(std::string_view text) noexcept {
  const std::size_t room = size_bytes_ - text_begin_;
  const std::size_t bytes = (sizeof(std::uint64_t) + text.size() + 7) / 8 * 8;
  const std::uint64_t at = text_tail_.fetch_add(bytes, std::memory_order_relaxed);
  if (at + bytes > room) return kNoText;
  char* into = base_ + text_begin_ + at;
  const std::uint64_t checksum = text_checksum(text, salt_);
  std::memcpy(into, &checksum, sizeof(checksum));
  std::copy(text.begin(), text.end(), into + sizeof(checksum));
  return static_cast<std::uint32_t>(at / 8);
}

void Segment::publish(std::uint64_t index, SlotBytes& bytes) noexcept {
  bytes.checksum = 0;
  const std::uint64_t checksum = slot_checksum(bytes, salt_, index);
  char* into = slot(index);
  std::memcpy(into + sizeof(checksum), reinterpret_cast<const char*>(&bytes) + sizeof(checksum),
              kSlotBytes - sizeof(checksum));
  // Last, and after all else is visible: a slot with a checksum is a whole record.
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(into), checksum, __ATOMIC_RELEASE);
}

std::uint64_t Segment::close() noexcept {
  const std::uint64_t tail = tail_.fetch_add(std::uint64_t{1} << 62, std::memory_order_acq_rel);
  return std::min(tail & ((std::uint64_t{1} << 62) - 1), slots_);
}

Segment::Read Segment::read(std::uint64_t index, SlotBytes& into) const noexcept {
  const std::uint64_t checksum = this->checksum(index);
  if (checksum == 0) return Read::kEmpty;
  if (slot_bytes_ == format1::kSlotBytes) {
    if (format1::read_slot(slot(index), salt_, index, into) == format1::Read::kTorn) return Read::kTorn;
    if (into.kind == RecordKind::kSettle) format1::read_numbers(whole_text(into), into.settle);
    return Read::kRecord;
  }
  std::memcpy(&into, slot(index), kSlotBytes);
  into.checksum = checksum;
  return slot_checksum(into, salt_, index) == checksum ? Read::kRecord : Read::kTorn;
}

std::string_view Segment::text(const SlotBytes& bytes) const noexcept {
  std::string_view text = whole_text(bytes);
  if (slot_bytes_ == format1::kSlotBytes && bytes.kind == RecordKind::kSettle)
    text.remove_prefix(std::min(text.size(), format1::kTextNumbers));
  return text;
}

std::string_view Segment::whole_text(const SlotBytes& bytes) const noexcept {
  if (bytes.text_bytes == 0 || bytes.text_at == kNoText) return {};
  const std::size_t room = size_bytes_ - text_begin_;
  const std::size_t at = std::size_t{bytes.text_at} * 8;
  if (at + sizeof(std::uint64_t) > room || bytes.text_bytes > room - at - sizeof(std::uint64_t)) return {};
  const char* from = base_ + text_begin_ + at;
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, from, sizeof(checksum));
  const std::string_view text(from + sizeof(checksum), bytes.text_bytes);
  return text_checksum(text, salt_) == checksum ? text : std::string_view{};
}

std::uint64_t Segment::find_end() const noexcept {
  std::uint64_t end = slots_;
  while (end > 0 && empty(end - 1)) --end;
  return end;
}

bool Segment::empty(std::uint64_t index) const noexcept {
  static constexpr char kZeros[kSlotBytes] = {};
  return std::memcmp(slot(index), kZeros, slot_bytes_) == 0;
}

std::uint64_t Segment::cut_torn(std::uint64_t end) noexcept {
  std::uint64_t torn = 0;
  SlotBytes bytes;
  for (std::uint64_t i = 0; i < end; ++i) {
    if (read(i, bytes) == Read::kRecord || empty(i)) continue;
    std::memset(slot(i), 0, slot_bytes_);
    ++torn;
  }
  return torn;
}

int Segment::sync(JournalDisk& disk) noexcept {
  std::uint64_t published = synced_slots_;
  const std::uint64_t claimed = this->claimed();
  while (published < claimed && checksum(published) != 0) ++published;
  const std::uint64_t text_end =
      std::min<std::uint64_t>(text_tail_.load(std::memory_order_acquire), size_bytes_ - text_begin_);
  if (published == synced_slots_) return 0;
  const auto flush = [&](std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t first = begin / kPage * kPage;
    return begin == end ? 0 : disk.sync(base_ + first, end - first);
  };
  // Texts first: a record that is there has its text.
  if (const int error = flush(text_begin_ + synced_text_, text_begin_ + text_end); error != 0) return error;
  if (const int error = flush(kHeaderBytes + synced_slots_ * slot_bytes_, kHeaderBytes + published * slot_bytes_);
      error != 0)
    return error;
  synced_slots_ = published;
  synced_text_ = text_end;
  return 0;
}

std::array<std::uint8_t, 32> Segment::compute_mac(std::string_view key) const {
  const SegmentHeader& h = header();
  std::array<std::uint8_t, 32> mac{};
  EVP_MAC* algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(algorithm);
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
  std::size_t size = 0;
  const auto add = [&](const void* bytes, std::size_t n) {
    EVP_MAC_update(context, static_cast<const unsigned char*>(bytes), n);
  };
  EVP_MAC_init(context, reinterpret_cast<const unsigned char*>(key.data()), key.size(), params);
  add(&h, kFixedHeaderBytes);
  add(&h.records, sizeof(h.records));
  add(h.mac_before.data(), h.mac_before.size());
  for (std::uint64_t done = 0; done < h.records; done += kSlotsInARow) {
    add(slot(done), std::min(kSlotsInARow, h.records - done) * slot_bytes_);
    give_way();
  }
  EVP_MAC_final(context, mac.data(), &size, mac.size());
  EVP_MAC_CTX_free(context);
  EVP_MAC_free(algorithm);
  return mac;
}

Seal Segment::seal(std::string_view key, const std::array<std::uint8_t, 32>& mac_before, std::uint64_t records,
                   JournalDisk& disk) {
  SegmentHeader& h = header();
  Seal seal{.sequence = sequence_, .records = records};
  std::uint64_t text_end = 0;
  SlotBytes bytes;
  for (std::uint64_t i = 0; i < records; ++i) {
    if (i % kSlotsInARow == 0) give_way();
    if (read(i, bytes) != Read::kRecord) continue;
    if (bytes.text_bytes != 0 && bytes.text_at != kNoText) {
      text_end = std::max<std::uint64_t>(text_end,
                                         std::uint64_t{bytes.text_at} * 8 + sizeof(std::uint64_t) + bytes.text_bytes);
    }
    if (bytes.kind != RecordKind::kSettle) continue;
    seal.tokens += bytes.settle.prompt + bytes.settle.completion;
    seal.cost_micros += bytes.settle.cost_micros;
  }
  h.records = records;
  h.mac_before = mac_before;
  h.tokens = seal.tokens;
  h.cost_micros = seal.cost_micros;
  seal.mac = h.mac = compute_mac(key);
  (void)disk.sync(base_ + kHeaderBytes, size_bytes_ - kHeaderBytes);
  h.state = SegmentState::kSealed;  // after its records: a seal never stands over less than it says
  (void)disk.sync(base_, kHeaderBytes);
  // A segment that was closed early gives back what it did not need.
  const Fd fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
  const auto give_back = [&](std::size_t begin, std::size_t end) {
    begin = (begin + kPage - 1) / kPage * kPage;
    if (fd.get() < 0 || begin >= end) return;
    (void)::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin),
                      static_cast<off_t>(end - begin));
  };
  give_back(kHeaderBytes + records * slot_bytes_, text_begin_);
  give_back(text_begin_ + text_end, size_bytes_);
  return seal;
}

bool Segment::published(std::uint64_t end) const noexcept {
  for (std::uint64_t i = end; i > 0; --i) {
    if (i % kSlotsInARow == 0) give_way();
    if (checksum(i - 1) == 0) return false;
  }
  return true;
}

}  // namespace sluice::journal
