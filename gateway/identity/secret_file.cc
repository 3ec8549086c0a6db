#include "identity/secret_file.h"

namespace sluice::identity {

absl::Status secret_file::failed(const std::string& path, const char* what) {
  const std::string why = std::strerror(errno);
  return absl::FailedPreconditionError(std::string("cannot ") + what + " " + path + ": " + why);
}

absl::Status write_secret_file(const std::string& path, std::string_view text, mode_t mode) {
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());
  const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return secret_file::failed(beside, "write");
  const bool good = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  ::close(file);
  if (!good || ::rename(beside.c_str(), path.c_str()) != 0) return secret_file::failed(path, "write");
  return absl::OkStatus();
}

}  // namespace sluice::identity
