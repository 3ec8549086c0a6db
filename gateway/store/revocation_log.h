// What may not come back with an old backup: revocations and suspensions, in a file that no backup holds.
//
//   sluice revocations 1 4f5e6d7c8b9a0123      the log's own id, random
//   1764279000000000 revoke key 12             µs since 1970, what was done, to what, its id
//   1764279100000000 suspend key 14
//
// "rotate key 12": an old backup knows the secret before, and not the one that its holder was given.
// Lines are only ever appended, each synced before the command that it records is reported as done.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"

namespace sluice::store {

struct Revocation {
  enum class Act : std::uint8_t { kRevoke, kSuspend, kResume, kRotate };
  enum class Of : std::uint8_t { kTenant, kUser, kKey, kAgent };
  WallTime when;
  Act act = Act::kRevoke;
  Of of = Of::kKey;
  std::uint64_t id = 0;
  bool operator==(const Revocation&) const = default;
};

// How far a log had come: a backup keeps it, and asks for what was written behind it.
struct LogMark {
  std::string log_id;
  std::uint64_t bytes = 0;
};

// Thread:   control thread; add() waits for the disk.
// Lifetime: the file stays open for as long as this lives.
class RevocationLog final {
 public:
  // Where the log of the store with this id is: a store that is made anew has a log of its own.
  [[nodiscard]] static std::string path_of(const std::string& state_dir, const std::string& store_id);
  // Opens the log, or begins one. kUnavailable: the disk says no; kDataLoss: the file is none of ours.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<RevocationLog>> open(const std::string& path);
  ~RevocationLog();
  RevocationLog(const RevocationLog&) = delete;
  RevocationLog& operator=(const RevocationLog&) = delete;

  // kUnavailable: it may not be there after a power cut; the line does not count as written.
  absl::Status add(const Revocation& revocation);
  [[nodiscard]] const LogMark& mark() const noexcept { return mark_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  RevocationLog(std::string path, int fd, LogMark mark) : path_(std::move(path)), fd_(fd), mark_(std::move(mark)) {}
  const std::string path_;
  const int fd_;
  LogMark mark_;
};

// Writes down what holds already; `log` may be null. kUnavailable: an old backup would forget it.
absl::Status write_down(RevocationLog* log, const Revocation& revocation);

// What the log says behind `mark`, in its order. kNotFound: it is not there, or it is not the one that the mark was
// taken of, or it ends before it; kDataLoss: a line is damaged. In each case it proves nothing.
[[nodiscard]] absl::StatusOr<std::vector<Revocation>> read_revocations(const std::string& path, const LogMark& mark);

}  // namespace sluice::store
