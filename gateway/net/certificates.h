// X.509 for Sluice's own use: a small CA (EC P-256), server certificates for development, client certificates for
// agents.
//
// All keys and certificates are PEM text here; files are their owners' business. Control plane only: these calls take
// milliseconds and allocate.
#pragma once

#include <openssl/x509.h>

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/clock.h"

namespace sluice::net {

using KeyPem = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

struct KeyAndCertificate {
  KeyPem key;
  std::string certificate;
};

struct KeyAndRequest {
  KeyPem key;
  std::string request;  // a CSR
};

// A new CA. `common_name` says whose it is.
[[nodiscard]] absl::StatusOr<KeyAndCertificate> create_ca(std::string_view common_name, std::chrono::hours lifetime);

// A new key and a server certificate for it, signed by `ca`. `names`: DNS names and IP addresses, at least one.
[[nodiscard]] absl::StatusOr<KeyAndCertificate> create_server_certificate(const KeyAndCertificate& ca,
                                                                          std::span<const std::string> names,
                                                                          std::chrono::hours lifetime);

// A new key and a request for a client certificate for it.
[[nodiscard]] absl::StatusOr<KeyAndRequest> create_request(std::string_view common_name);

// Whether a certificate may rest on `key`: EC on P-256 or P-384, RSA of at least 2048 bits, or Ed25519. Others are either
// weak or cost a worker milliseconds at each handshake. The error begins with `whose`: "FILE", "the certificate request".
[[nodiscard]] absl::Status check_key(const EVP_PKEY* key, std::string_view whose);

// Signs a request as a client certificate. Of the request only the public key is taken, if check_key() lets it pass and
// after its signature has been checked; subject and extensions are ours.
[[nodiscard]] absl::StatusOr<std::string> sign_client_request(const KeyAndCertificate& ca, std::string_view request,
                                                              std::string_view common_name,
                                                              std::chrono::seconds lifetime);

// What a certificate says.
struct Certificate {
  std::string common_name;
  std::string issuer_common_name;
  std::string fingerprint;  // SHA-256 of the DER form, lower-case hexadecimal
  std::vector<std::string> names;
  WallTime not_before;
  WallTime not_after;
};
// The first certificate in `pem`.
[[nodiscard]] absl::StatusOr<Certificate> read_certificate(std::string_view pem);
[[nodiscard]] absl::StatusOr<Certificate> read_certificate(const X509* certificate);
// The peer's certificate of a connection whose handshake is over; NotFound: it gave none.
[[nodiscard]] absl::StatusOr<Certificate> peer_certificate(const SSL* ssl);

}  // namespace sluice::net
