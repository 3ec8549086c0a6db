#include "journal/deliver_again.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "journal/segment.h"
#include "journal/verify.h"

namespace sluice::journal {
namespace {

void note_ids(const Segment& segment, SeenIds& seen) {
  SlotBytes slot;
  const std::uint64_t end =
      segment.header().state == SegmentState::kOpen ? segment.find_end() : segment.header().records;
  for (std::uint64_t i = 0; i < end; ++i) {
    if (segment.read(i, slot) != Segment::Read::kRecord) continue;
    seen.tenant = std::max<std::uint64_t>(seen.tenant, slot.tenant_id);
    seen.user = std::max<std::uint64_t>(seen.user, slot.user_id);
    seen.key = std::max<std::uint64_t>(seen.key, slot.key_id);
  }
}

}  // namespace

absl::StatusOr<SeenIds> deliver_again(const std::string& dir, const JournalPosition& stored) {
  const absl::StatusOr<std::vector<std::string>> files = list_segments(dir);
  if (!files.ok()) return files.status();
  SeenIds seen;
  JournalDisk disk;
  for (const std::string& path : *files) {
    const absl::StatusOr<std::unique_ptr<Segment>> segment = Segment::open(path);
    if (!segment.ok()) return segment.status();
    SegmentHeader& header = (*segment)->header();
    if (header.sequence < stored.segment) continue;
    note_ids(**segment, seen);
    if (header.state == SegmentState::kDelivered) header.state = SegmentState::kSealed;
    header.delivered_slots =
        header.sequence == stored.segment ? std::min(header.delivered_slots, stored.records) : std::uint64_t{0};
    if (const int failed = disk.sync(&header, kHeaderBytes); failed != 0)
      return absl::UnavailableError("cannot write " + path + ": " + std::strerror(failed));
  }
  return seen;
}

}  // namespace sluice::journal
