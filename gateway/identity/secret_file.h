// Small files of the state folder that hold secrets of the gateway: read whole, written whole or not at all.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::identity {

namespace secret_file {
inline constexpr std::size_t kMostBytes = 64 * 1024;
absl::Status failed(const std::string& path, const char* what);
}  // namespace secret_file

// The file as a Text, which may be one that is wiped. Nothing: there is no such file. Error: it cannot be read, or its
// mode has a bit of `forbidden`; the message says what to do.
template <class Text>
absl::StatusOr<std::optional<Text>> read_secret_file(const std::string& path, mode_t forbidden) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return std::optional<Text>();
  if (file < 0) return secret_file::failed(path, "read");
  struct stat info {};
  Text text(secret_file::kMostBytes, '\0');
  const bool known = ::fstat(file, &info) == 0;
  const ssize_t size = ::read(file, text.data(), text.size());
  ::close(file);
  if (!known || size < 0) return secret_file::failed(path, "read");
  if ((info.st_mode & forbidden) != 0)
    return absl::FailedPreconditionError(path + " may be read by others; run: chmod 600 " + path);
  text.resize(static_cast<std::size_t>(size));
  return std::optional<Text>(std::move(text));
}

// Written beside it, synced, renamed.
[[nodiscard]] absl::Status write_secret_file(const std::string& path, std::string_view text, mode_t mode);

}  // namespace sluice::identity
