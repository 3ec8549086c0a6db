#include "store/sqlite.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/files.h"

namespace sluice::store {
namespace {

constexpr int kStepsBetweenLooks = 1'000;  // of SQLite's machine, some microseconds

// A folder in the file's place is a mistake in the conf; whatever else keeps a file from being opened may pass.
absl::Status cannot_open(const std::string& path, int reason) {
  const std::string text = "cannot open the store " + path + ": " + std::strerror(reason);
  if (reason == EISDIR) return absl::FailedPreconditionError(text + "; set store.path to a file");
  return absl::UnavailableError(text + "; give server.state_dir or store.path a folder this user may write");
}

// Makes an empty file where there is none: SQLite would give it the umask's mode, and its WAL files take after it. It
// is made under another name and closed before it gets its own, because closing any descriptor of a file ends every
// lock that the process holds on it, and then the next program that reads the store takes the WAL away from under us.
absl::Status make_if_absent(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return S_ISDIR(info.st_mode) ? cannot_open(path, EISDIR) : absl::OkStatus();
  if (errno != ENOENT) return cannot_open(path, errno);
  std::string beside = path + ".XXXXXX";
  const int file = ::mkostemp(beside.data(), O_CLOEXEC);  // mode 0600
  if (file < 0) return cannot_open(path, errno);
  ::close(file);
  const int reason = rename_to_new(beside, path);
  if (reason == 0) return absl::OkStatus();
  ::unlink(beside.c_str());
  return reason == EEXIST ? absl::OkStatus() : cannot_open(path, reason);
}

}  // namespace

absl::StatusOr<Database> Database::open(const std::string& path, std::chrono::milliseconds busy_time, Access access) {
  if (access == Access::kWrite)
    if (absl::Status made = make_if_absent(path); !made.ok()) return made;
  const int mode = access == Access::kWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  Database database(handle, path);
  if ((code & 0xff) == SQLITE_CANTOPEN) return cannot_open(path, handle ? sqlite3_system_errno(handle) : ENOMEM);
  if (code != SQLITE_OK) return database.error(code);
  // What may not be written is opened for reading all the same.
  if (access == Access::kWrite && sqlite3_db_readonly(handle, "main") == 1) return cannot_open(path, EACCES);
  database.set_busy_time(busy_time);
  return database;
}

// Not sqlite3_interrupt(), which forgets itself where no statement runs at that moment.
void Database::end_when(const std::atomic<bool>& ended) noexcept {
  const auto asked = [](void* flag) { return static_cast<const std::atomic<bool>*>(flag)->load() ? 1 : 0; };
  sqlite3_progress_handler(handle_.get(), kStepsBetweenLooks, asked, const_cast<std::atomic<bool>*>(&ended));  // NOLINT
}

absl::Status Database::exec(const char* sql) {
  if (handle_ == nullptr) return error(SQLITE_CANTOPEN);
  const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : error(code);
}

absl::Status Database::error(int code) const {
  // What a backup met stands in its own code, and the connection knows nothing of it.
  const bool told = handle_ && (sqlite3_errcode(handle_.get()) & 0xFF) == (code & 0xFF);
  const std::string text = "store " + path_ + ": " + (told ? sqlite3_errmsg(handle_.get()) : sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_ROWID)
        return absl::AlreadyExistsError(text);
      if (code == SQLITE_CONSTRAINT_FOREIGNKEY) return absl::NotFoundError(text);
      return absl::InternalError(text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(text);
    case SQLITE_FULL:
    case SQLITE_IOERR:
      return absl::UnavailableError(text + "; is there room on the disk?");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text + "; move the file away or restore a backup");
    case SQLITE_INTERRUPT:
      return absl::CancelledError(text);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return absl::UnavailableError(text + "; may this user write there?");
    default:
      return absl::InternalError(text);
  }
}

Transaction::~Transaction() {
  if (status_.ok() && !done_) (void)database_.exec("ROLLBACK");
}

absl::Status Transaction::commit() {
  absl::Status status = database_.exec("COMMIT");
  done_ = status.ok();
  return status;
}

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
  if (database.handle() == nullptr) {
    status_ = database.error(SQLITE_CANTOPEN);
    return;
  }
  const int code =
      sqlite3_prepare_v2(database.handle(), sql.data(), static_cast<int>(sql.size()), &statement_, nullptr);
  if (code != SQLITE_OK) status_ = database.error(code);
}

Statement::Step Statement::step() {
  if (!status_.ok()) return Step::kEnd;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return Step::kRow;
  if (code != SQLITE_DONE) status_ = database_.error(code);
  return Step::kEnd;
}

std::string_view Statement::text(int column) const noexcept {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return bytes == nullptr ? std::string_view()
                          : std::string_view(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

}  // namespace sluice::store
