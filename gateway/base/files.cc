#include "base/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace sluice {
namespace {

constexpr std::size_t kCopyBytes = 1u << 20;

class Fd final {
 public:
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

int write_all(int fd, std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return 0;
}

int open_new(const std::string& path) noexcept {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

int sync_path(const std::string& path, int flags) noexcept {
  const Fd fd(::open(path.c_str(), flags | O_CLOEXEC));
  return fd.get() < 0 || ::fsync(fd.get()) != 0 ? errno : 0;
}

}  // namespace

int rename_to_new(const std::string& from, const std::string& to) noexcept {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system that cannot do it in one step.
  return ::link(from.c_str(), to.c_str()) == 0 && ::unlink(from.c_str()) == 0 ? 0 : errno;
}

int write_private_file(const std::string& path, std::string_view bytes) noexcept {
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());
  {
    const Fd fd(open_new(beside));
    if (fd.get() < 0) return errno;
    if (const int failed = write_all(fd.get(), bytes); failed != 0) return failed;
    if (::fsync(fd.get()) != 0) return errno;
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return errno;
  return sync_folder_of(path);
}

int make_private_file(const std::string& path) noexcept {
  const Fd fd(open_new(path));
  return fd.get() < 0 ? errno : 0;
}

int copy_to_private_file(const std::string& from, const std::string& to) noexcept {
  const Fd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) return errno;
  const Fd out(open_new(to));
  if (out.get() < 0) return errno;
  std::string block(kCopyBytes, '\0');
  for (;;) {
    const ssize_t got = ::read(in.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) return 0;
    if (const int failed = write_all(out.get(), std::string_view(block).substr(0, static_cast<std::size_t>(got))))
      return failed;
  }
}

int read_whole_file(const std::string& path, std::size_t most_bytes, std::string& into) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return errno;
  into.clear();
  for (;;) {
    const std::size_t had = into.size();
    into.resize(std::max<std::size_t>(4096, had * 2));
    const ssize_t got = ::read(fd.get(), into.data() + had, into.size() - had);
    into.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (into.size() > most_bytes) return EFBIG;
    if (got == 0) return 0;
  }
}

int sync_file(const std::string& path) noexcept { return sync_path(path, O_RDONLY); }

int sync_folder_of(const std::string& path) noexcept {
  const std::size_t slash = path.rfind('/');
  return sync_path(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY);
}

}  // namespace sluice
