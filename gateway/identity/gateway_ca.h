// The gateway's own CA: it signs the agents' client certificates and nothing else.
//
//   STATE/ca-certificate.pem   0644     STATE/ca-key.pem   0600     made at the first start
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <string>
#include <string_view>

#include "net/certificates.h"

namespace sluice::identity {

// Thread: control thread; certificate() from any thread.
class GatewayCa final {
 public:
  // Reads the CA of `state_dir`, or makes it. A key without its certificate, or one that others may read, is an error:
  // making a new CA would shut out every agent.
  [[nodiscard]] static absl::StatusOr<GatewayCa> open(const std::string& state_dir);

  // PEM. Agents' connections are verified against it.
  [[nodiscard]] const std::string& certificate() const noexcept { return ca_.certificate; }

  // A client certificate (PEM) for the key in `request` (PEM). kInvalidArgument: the request is malformed or its key
  // too weak.
  [[nodiscard]] absl::StatusOr<std::string> sign(std::string_view request, std::string_view common_name,
                                                 std::chrono::seconds lifetime) const;

 private:
  explicit GatewayCa(net::KeyAndCertificate ca) : ca_(std::move(ca)) {}
  net::KeyAndCertificate ca_;
};

}  // namespace sluice::identity
