#include "agent/backend_access.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "net/tls_context.h"

namespace sluice::agent {
namespace {

using SecretText = BackendAccess::SecretText;
constexpr std::size_t kKeyBytes = 16 * 1024;

absl::StatusOr<SecretText> read_key_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::NotFoundError(absl::StrCat("--backend-key: cannot read ", path, ": ", std::strerror(errno)));
  SecretText key(kKeyBytes, '\0');
  const ssize_t size = ::read(fd, key.data(), key.size());
  ::close(fd);
  key.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return key;
}

absl::StatusOr<SecretText> read_backend_key(const std::string& reference) {
  SecretText key;
  if (reference.starts_with("file:")) {
    absl::StatusOr<SecretText> read = read_key_file(reference.substr(5));
    if (!read.ok()) return read.status();
    key = *std::move(read);
  } else if (reference.starts_with("env:")) {
    const char* const value = std::getenv(reference.c_str() + 4);
    if (value == nullptr)
      return absl::NotFoundError(absl::StrCat("--backend-key: the environment has no ", reference.substr(4)));
    key = value;
  } else {
    return absl::InvalidArgumentError(
        "--backend-key is file:PATH or env:NAME, never the key itself: other users see a command line");
  }
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  const bool sendable = std::ranges::all_of(key, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (key.empty() || !sendable)
    return absl::InvalidArgumentError(
        absl::StrCat("--backend-key ", reference, key.empty() ? ": there is nothing in it" : ": it holds",
                     key.empty() ? "" : " white space or other bytes that no header can carry"));
  return key;
}

}  // namespace

absl::StatusOr<BackendAccess> make_backend_access(const RunOptions& options) {
  std::optional<http::BaseUrl> url = http::parse_base_url(options.backend);
  if (!url)
    return absl::InvalidArgumentError(
        absl::StrCat("--backend ", options.backend, " is not http://HOST:PORT or https://HOST:PORT"));
  BackendAccess access{.url = *std::move(url), .tls = nullptr, .authorization = {}};
  if (access.url.tls) {
    auto tls = net::create_client_tls(
        {.ca_file = options.backend_ca, .certificate_file = {}, .key_file = {}, .alpn = {"http/1.1"}});
    if (!tls.ok()) return tls.status();
    access.tls = *std::move(tls);
  } else if (!options.backend_ca.empty()) {
    return absl::InvalidArgumentError("--backend-ca goes with an https:// --backend");
  }
  if (!options.backend_key.empty()) {
    const absl::StatusOr<SecretText> key = read_backend_key(options.backend_key);
    if (!key.ok()) return key.status();
    access.authorization = "Bearer ";
    access.authorization += *key;
  }
  return access;
}

}  // namespace sluice::agent
