#include "store/revocation_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/files.h"
#include "base/ids.h"

namespace sluice::store {
namespace {

constexpr std::string_view kHead = "sluice revocations 1 ";
constexpr std::size_t kIdDigits = 16;
constexpr std::size_t kHeadBytes = kHead.size() + kIdDigits + 1;
constexpr std::size_t kMostBytes = 1u << 30;
constexpr std::array<std::string_view, 4> kActs{"revoke", "suspend", "resume", "rotate"};
constexpr std::array<std::string_view, 4> kOf{"tenant", "user", "key", "agent"};

absl::Status disk_error(const std::string& path, int reason) {
  return absl::UnavailableError("cannot write the log of revocations " + path + ": " + std::strerror(reason));
}

// The log's id; nothing: it does not begin like one.
std::optional<std::string> head_of(std::string_view text) {
  if (!text.starts_with(kHead) || text.size() < kHeadBytes || text[kHeadBytes - 1] != '\n') return std::nullopt;
  return std::string(text.substr(kHead.size(), kIdDigits));
}

// Cuts the next word off. Empty: there is none.
std::string_view word(std::string_view& line) {
  const std::string_view next = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(line.size(), next.size() + 1));
  return next;
}

template <class T>
bool number(std::string_view text, T& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc{} && end == text.data() + text.size();
}

template <class Enum, std::size_t n>
bool named(std::string_view text, const std::array<std::string_view, n>& names, Enum& into) {
  for (std::size_t i = 0; i < n; ++i) {
    if (names[i] != text) continue;
    into = static_cast<Enum>(i);
    return true;
  }
  return false;
}

std::optional<Revocation> parse(std::string_view line) {
  Revocation read;
  std::int64_t micros = 0;
  const bool good = number(word(line), micros) && named(word(line), kActs, read.act) &&
                    named(word(line), kOf, read.of) && number(word(line), read.id) && line.empty();
  read.when = WallTime(std::chrono::microseconds(micros));
  return good ? std::optional(read) : std::nullopt;
}

int begin_log(const std::string& path) {
  std::array<char, kIdDigits> digits;
  return write_private_file(path, fmt::format("{}{}\n", kHead, write_hex(random_id(), digits)));
}

}  // namespace

std::string RevocationLog::path_of(const std::string& state_dir, const std::string& store_id) {
  return state_dir + "/revocations-" + store_id + ".log";
}

absl::StatusOr<std::unique_ptr<RevocationLog>> RevocationLog::open(const std::string& path) {
  std::string text;
  int failed = read_whole_file(path, kMostBytes, text);
  if (failed == ENOENT) {
    if (failed = begin_log(path); failed == 0) failed = read_whole_file(path, kMostBytes, text);
  }
  if (failed != 0) return disk_error(path, failed);
  const std::optional<std::string> id = head_of(text);
  if (!id) return absl::DataLossError(path + " is no log of revocations; move it away");
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return disk_error(path, errno);
  // Half a line is of a command that was never reported as done.
  const std::size_t whole = text.rfind('\n') + 1;
  std::unique_ptr<RevocationLog> log(new RevocationLog(path, fd, {.log_id = *id, .bytes = whole}));
  if (whole != text.size() && ::ftruncate(fd, static_cast<off_t>(whole)) != 0) return disk_error(path, errno);
  return log;
}

RevocationLog::~RevocationLog() { ::close(fd_); }

absl::Status RevocationLog::add(const Revocation& revocation) {
  const std::string line = fmt::format("{} {} {} {}\n", revocation.when.time_since_epoch().count(),
                                       kActs[static_cast<std::size_t>(revocation.act)],
                                       kOf[static_cast<std::size_t>(revocation.of)], revocation.id);
  if (::write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size()) || ::fdatasync(fd_) != 0) {
    const int reason = errno != 0 ? errno : ENOSPC;
    (void)::ftruncate(fd_, static_cast<off_t>(mark_.bytes));  // the next line must not follow half a one
    return disk_error(path_, reason);
  }
  mark_.bytes += line.size();
  return absl::OkStatus();
}

absl::Status write_down(RevocationLog* log, const Revocation& revocation) {
  const absl::Status written = log == nullptr ? absl::OkStatus() : log->add(revocation);
  if (written.ok()) return written;
  return absl::UnavailableError("it is done, but an old backup would forget it: " + std::string(written.message()) +
                                "; mend that, and do it again");
}

absl::StatusOr<std::vector<Revocation>> read_revocations(const std::string& path, const LogMark& mark) {
  std::string text;
  if (const int failed = read_whole_file(path, kMostBytes, text); failed != 0)
    return absl::NotFoundError("the log of revocations " + path + " cannot be read: " + std::strerror(failed));
  const std::optional<std::string> id = head_of(text);
  if (!id || *id != mark.log_id)
    return absl::NotFoundError("the log of revocations " + path + " is not the one of the backup's time");
  if (text.size() < mark.bytes)
    return absl::NotFoundError("the log of revocations " + path + " ends before the backup was made");
  std::vector<Revocation> all;
  std::string_view rest = std::string_view(text).substr(std::max<std::size_t>(mark.bytes, kHeadBytes));
  for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
    const std::optional<Revocation> one = parse(rest.substr(0, end));
    if (!one) return absl::DataLossError("the log of revocations " + path + " is damaged");
    all.push_back(*one);
  }
  return all;
}

}  // namespace sluice::store
