#include "identity/gateway_ca.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/ids.h"

namespace sluice::identity {
namespace {

constexpr std::chrono::hours kLifetime{24 * 3650};
constexpr std::size_t kMaxFile = 64 * 1024;

absl::Status failed(const std::string& path, const char* what) {
  const std::string why = std::strerror(errno);
  return absl::FailedPreconditionError(std::string("cannot ") + what + " " + path + ": " + why);
}

// Nothing: there is no such file.
template <class Text>
absl::StatusOr<std::optional<Text>> read_file(const std::string& path, mode_t forbidden) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return std::optional<Text>();
  if (file < 0) return failed(path, "read");
  struct stat info {};
  Text text(kMaxFile, '\0');
  const bool known = ::fstat(file, &info) == 0;
  const ssize_t size = ::read(file, text.data(), text.size());
  ::close(file);
  if (!known || size < 0) return failed(path, "read");
  if ((info.st_mode & forbidden) != 0)
    return absl::FailedPreconditionError(path + " may be read by others; run: chmod 600 " + path);
  text.resize(static_cast<std::size_t>(size));
  return std::optional<Text>(std::move(text));
}

// Whole or not at all: written beside it, synced, renamed.
absl::Status write_file(const std::string& path, std::string_view text, mode_t mode) {
  const std::string beside = path + ".new";
  ::unlink(beside.c_str());
  const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return failed(beside, "write");
  const bool good = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  ::close(file);
  if (!good || ::rename(beside.c_str(), path.c_str()) != 0) return failed(path, "write");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GatewayCa> GatewayCa::open(const std::string& state_dir) {
  const std::string key_path = state_dir + "/ca-key.pem", certificate_path = state_dir + "/ca-certificate.pem";
  auto key = read_file<net::KeyPem>(key_path, 077);
  if (!key.ok()) return key.status();
  auto certificate = read_file<std::string>(certificate_path, 022);
  if (!certificate.ok()) return certificate.status();
  if (key->has_value() && certificate->has_value())
    return GatewayCa({.key = std::move(**key), .certificate = std::move(**certificate)});
  // The key is written first: a crash between the two leaves a key without a certificate, which nobody has seen.
  if (certificate->has_value())
    return absl::FailedPreconditionError(key_path + " is missing but " + certificate_path +
                                         " is there; restore it, or remove the certificate and pair every agent again");
  std::array<char, 16> name;
  auto ca = net::create_ca("sluice agents " + std::string(write_hex(random_id(), name)), kLifetime);
  if (!ca.ok()) return ca.status();
  if (absl::Status done = write_file(key_path, ca->key, 0600); !done.ok()) return done;
  if (absl::Status done = write_file(certificate_path, ca->certificate, 0644); !done.ok()) return done;
  return GatewayCa(std::move(*ca));
}

absl::StatusOr<std::string> GatewayCa::sign(std::string_view request, std::string_view common_name,
                                            std::chrono::seconds lifetime) const {
  return net::sign_client_request(ca_, request, common_name, lifetime);
}

}  // namespace sluice::identity
