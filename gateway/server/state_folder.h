// The state folder: the store, the journal, the agents' CA and the admin socket of one gateway, and of one at a time.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <utility>

namespace sluice::server {

// Holds the folder for this process, until it goes or the process ends, however it ends.
// Thread: any.
class StateFolder final {
 public:
  // Makes the folder where it is missing, for its owner alone, and locks it. kPermissionDenied: it cannot be made or
  // used; kFailedPrecondition: another gateway serves from it or still drains. Both say what to do.
  [[nodiscard]] static absl::StatusOr<StateFolder> take(const std::string& path);
  // Whether take() could make and use the folder, whoever has it now. Leaves nothing behind.
  [[nodiscard]] static absl::Status check(const std::string& path);

  StateFolder(StateFolder&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  StateFolder& operator=(StateFolder&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~StateFolder();

 private:
  explicit StateFolder(int fd) noexcept : fd_(fd) {}
  int fd_;
};

}  // namespace sluice::server
