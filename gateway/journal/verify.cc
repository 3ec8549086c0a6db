#include "journal/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "journal/journal.h"

namespace sluice::journal {

namespace fs = std::filesystem;

absl::StatusOr<std::vector<std::string>> list_segments(const std::string& dir) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.ends_with(".journal")) paths.push_back(at->path().string());
  }
  if (error) return absl::UnavailableError("cannot list " + dir + ": " + error.message());
  std::sort(paths.begin(), paths.end());  // names have a fixed width
  return paths;
}

absl::StatusOr<std::string> read_seal_key(const std::string& dir) {
  std::ifstream in(Journal::key_path(dir), std::ios::binary);
  if (!in) return absl::NotFoundError("no seal key in " + dir);
  absl::StatusOr<std::string> key{
      std::string(32, '\0')};  // in place: g++ 12 warns of the move of a local one under TSan
  in.read(key->data(), 32);
  if (in.gcount() != 32 || in.peek() != std::ifstream::traits_type::eof())
    return absl::DataLossError("the seal key in " + dir + " is not 32 bytes");
  return key;
}

absl::StatusOr<Verified> verify_journal(const std::string& dir, const std::vector<Seal>& stored) {
  absl::StatusOr<std::string> key = read_seal_key(dir);
  if (!key.ok()) return key.status();
  absl::StatusOr<std::vector<std::string>> files = list_segments(dir);
  if (!files.ok()) return files.status();
  Verified verified;
  const auto fault = [&](std::uint64_t sequence, std::string_view what) {
    verified.faults.push_back(fmt::format("segment {}: {}", sequence, what));
  };
  std::map<std::uint64_t, Seal> seals;
  for (const Seal& seal : stored) seals[seal.sequence] = seal;

  std::optional<std::uint64_t> previous;
  std::array<std::uint8_t, 32> mac_before{};
  for (const std::string& path : *files) {
    absl::StatusOr<std::unique_ptr<Segment>> segment = Segment::open(path);
    if (!segment.ok()) {
      verified.faults.emplace_back(segment.status().message());
      continue;
    }
    const SegmentHeader& header = (*segment)->header();
    const std::uint64_t sequence = header.sequence;
    if (Journal::segment_path(dir, sequence) != path) fault(sequence, "is in a file of another name: " + path);
    if (previous && sequence != *previous + 1) fault(*previous + 1, "is missing");
    previous = sequence;
    const auto seal = seals.find(sequence);
    if (header.state == SegmentState::kOpen) {
      if (seal != seals.end()) fault(sequence, "was sealed, and its file is not");
      ++verified.open_segments;
      verified.open_records += (*segment)->find_end();
      continue;
    }
    if (verified.open_segments != 0) fault(sequence, "is sealed behind one that is not");
    // The first that is left stands on the seal of one that was removed.
    if (const auto before = seals.find(sequence - 1); verified.sealed_segments == 0 && before != seals.end())
      mac_before = before->second.mac;
    const bool first_known = verified.sealed_segments != 0 || sequence == 1 || seals.contains(sequence - 1);
    if (first_known && header.mac_before != mac_before) fault(sequence, "does not follow the one before it");
    if ((*segment)->compute_mac(*key) != header.mac) fault(sequence, "was changed after it was sealed");
    if (seal != seals.end() && seal->second.mac != header.mac)
      fault(sequence, "is not the one whose seal the store keeps");
    if (seal == seals.end() && header.state == SegmentState::kDelivered) fault(sequence, "has no seal in the store");
    mac_before = header.mac;
    ++verified.sealed_segments;
    verified.sealed_records += header.records;
    verified.tokens += header.tokens;
    verified.cost_micros += header.cost_micros;
  }
  // Seals behind the last file: somebody took the end away.
  for (const auto& [sequence, seal] : seals) {
    if (!previous || sequence > *previous) fault(sequence, "is missing: the store has its seal");
  }
  return verified;
}

}  // namespace sluice::journal
