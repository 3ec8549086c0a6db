#include "server/state_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace sluice::server {
namespace {

namespace fs = std::filesystem;

absl::Status unusable(const std::string& path, std::string_view why) {
  return absl::PermissionDeniedError(
      fmt::format("cannot use the state folder {}: {}; choose another [server] state_dir", path, why));
}

}  // namespace

absl::StatusOr<StateFolder> StateFolder::take(const std::string& path) {
  std::error_code ec;
  fs::create_directories(path, ec);
  if (!ec) fs::permissions(path, fs::perms::owner_all, ec);
  if (ec) return unusable(path, ec.message());
  StateFolder folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.fd_ < 0) return unusable(path, std::strerror(errno));
  // A file system without locks keeps nobody out, which is no reason not to serve.
  if (::flock(folder.fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return absl::FailedPreconditionError(
        fmt::format("another gateway uses the state folder {}, or still drains: wait until it has ended, stop it, or "
                    "choose another [server] state_dir",
                    path));
  return folder;
}

absl::Status StateFolder::check(const std::string& path) {
  std::error_code ec;
  std::vector<fs::path> missing;  // the innermost first
  fs::path at = fs::absolute(path, ec);
  while (!ec && !fs::exists(at, ec) && !ec && at.has_relative_path()) {
    missing.push_back(at);
    at = at.parent_path();
  }
  if (ec) return unusable(path, ec.message());
  if (missing.empty()) {
    if (!fs::is_directory(at, ec)) return unusable(path, "it is no folder");
    return ::access(path.c_str(), R_OK | W_OK | X_OK) == 0 ? absl::OkStatus() : unusable(path, std::strerror(errno));
  }
  // What a file system allows is known for certain only once it has been asked.
  std::vector<fs::path> made;
  for (auto folder = missing.rbegin(); folder != missing.rend() && !ec; ++folder) {
    if (fs::create_directory(*folder, ec)) made.push_back(*folder);
  }
  const absl::Status result = ec ? unusable(path, ec.message()) : absl::OkStatus();
  for (auto folder = made.rbegin(); folder != made.rend(); ++folder) ::rmdir(folder->c_str());
  return result;
}

StateFolder::~StateFolder() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace sluice::server
