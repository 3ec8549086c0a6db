#include "config/named_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "config/text.h"

namespace sluice::config {

std::string NamedFiles::whole_path(const std::string& path) const {
  return path.starts_with('/') || folder_.empty() ? path : cat(folder_, "/", path);
}

void NamedFiles::check(const std::string& at, const std::string& path, std::string_view advice) {
  if (are_trusted()) return;
  const std::string key = at.substr(at.rfind('.') + 1);
  struct stat status {};
  const bool there = !path.empty() && ::stat(path.c_str(), &status) == 0;
  if (there && S_ISDIR(status.st_mode)) {
    findings_.add(at, cat(key, ": ", path, " is a folder; ", advice));
  } else if (!there || ::access(path.c_str(), R_OK) != 0) {
    findings_.add(at,
                  cat(key, ": cannot read ", path.empty() ? "\"\"" : path, ": ", std::strerror(errno), "; ", advice));
  }
}

void NamedFiles::read_secret(const std::string& at, Secret& secret, Severity missing) {
  if (!secret.given() || are_trusted()) return;
  const std::string_view reference = secret.reference;
  if (!secret.in_store().empty() || reference == kInStore)
    return findings_.add(at,
                         "give \"file:PATH\" or \"env:NAME\": only the api_key of an upstream can stand in the store");
  if (reference.starts_with("env:")) {
    const std::string name(reference.substr(4));
    const char* value = ::getenv(name.c_str());
    if (value == nullptr || *value == '\0') {
      findings_.add(at, cat("the environment has no ", name, "; set it before the gateway starts"), missing);
      return;
    }
    secret.value = value;
  } else {
    if (!read_secret_file(at, whole_path(std::string(reference.substr(5))), secret, missing)) return;
  }
  while (!secret.value.empty() && (secret.value.back() == '\n' || secret.value.back() == '\r')) secret.value.pop_back();
  if (secret.value.find_first_of("\r\n") != SecretText::npos) {
    findings_.add(at, "the secret has more than one line");
  } else if (secret.value.empty()) {
    findings_.add(
        at, cat(reference.substr(reference.find(':') + 1), " is empty; it should hold the secret and nothing else"));
  } else if (!std::ranges::all_of(secret.value, is_visible)) {
    findings_.add(at, "the secret holds bytes that no header can carry; it is one line of visible characters");
  }
}

// False: it could not be read, which is said.
bool NamedFiles::read_secret_file(const std::string& at, const std::string& path, Secret& secret, Severity missing) {
  constexpr std::size_t kMostBytes = 64 * 1024;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  secret.value.resize(kMostBytes);
  const ssize_t size_bytes = fd < 0 ? -1 : ::read(fd, secret.value.data(), kMostBytes);
  const int why = errno;
  if (fd >= 0) ::close(fd);
  secret.value.resize(size_bytes > 0 ? static_cast<std::size_t>(size_bytes) : 0);
  if (size_bytes < 0)
    findings_.add(at, cat("cannot read ", path, ": ", std::strerror(why), "; let the gateway's user read it"), missing);
  return size_bytes >= 0;
}

}  // namespace sluice::config
