#include "identity/gateway_ca.h"

#include <array>

#include "base/ids.h"
#include "identity/secret_file.h"

namespace sluice::identity {
namespace {

constexpr std::chrono::hours kLifetime{24 * 3650};

}  // namespace

absl::StatusOr<GatewayCa> GatewayCa::open(const std::string& state_dir) {
  const std::string key_path = state_dir + "/ca-key.pem", certificate_path = state_dir + "/ca-certificate.pem";
  auto key = read_secret_file<net::KeyPem>(key_path, 077);
  if (!key.ok()) return key.status();
  auto certificate = read_secret_file<std::string>(certificate_path, 022);
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
  if (absl::Status done = write_secret_file(key_path, ca->key, 0600); !done.ok()) return done;
  if (absl::Status done = write_secret_file(certificate_path, ca->certificate, 0644); !done.ok()) return done;
  return GatewayCa(std::move(*ca));
}

absl::StatusOr<std::string> GatewayCa::sign(std::string_view request, std::string_view common_name,
                                            std::chrono::seconds lifetime) const {
  return net::sign_client_request(ca_, request, common_name, lifetime);
}

}  // namespace sluice::identity
