// What makes an agent itself: its private key, its certificate, and which gateways it belongs to, in one folder.
//
//   key.pem     0600, never leaves the machine
//   certificate.pem    the chain that the gateway signed
//   ca.pem      what the gateway's own certificate is checked against; absent: the system's roots
//   agent.json  {"agent_id": …, "gateways": [URL…]}
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::agent {

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, KeyDeleter>;
using ContextPtr = std::shared_ptr<SSL_CTX>;  // shared: running handshakes outlive a renewal

[[nodiscard]] absl::StatusOr<KeyPtr> make_key();                                                    // P-256
[[nodiscard]] absl::StatusOr<std::string> make_csr(EVP_PKEY& key, const std::string& common_name);  // PEM
[[nodiscard]] absl::StatusOr<std::string> key_to_pem(EVP_PKEY& key);

// The agent's folder.
// Thread: the one that owns it.
class Credentials final {
 public:
  // Errors say which file is missing or unreadable and that `sluice agent pair` makes it.
  [[nodiscard]] static absl::StatusOr<Credentials> load(const std::string& dir);
  // Makes the folder and proves that it can be written, so that what is good once is not spent in vain. Error: why not,
  // and what to do.
  static absl::Status prepare(const std::string& dir);
  // Writes the folder anew. REQUIRES: it exists or can be made.
  static absl::Status create(const std::string& dir, EVP_PKEY& key, std::string_view certificate, std::string_view ca,
                             std::string_view agent_id, const std::vector<std::string>& gateways);

  [[nodiscard]] const std::string& agent_id() const noexcept { return agent_id_; }
  [[nodiscard]] const std::vector<std::string>& gateways() const noexcept { return gateways_; }
  // For dialling a tunnel.
  [[nodiscard]] const ContextPtr& context() const noexcept { return context_; }

  // A CSR of the same key; then the new certificate, which must fit it, replaces the old one at once.
  [[nodiscard]] absl::StatusOr<std::string> renewal_csr() const;
  absl::Status renew(std::string_view certificate);

 private:
  std::string dir_;
  std::string agent_id_;
  std::vector<std::string> gateways_;
  KeyPtr key_;
  ContextPtr context_;
};

// A TLS 1.3 client context that trusts `ca_file`, or the system's roots if it is empty.
[[nodiscard]] absl::StatusOr<ContextPtr> make_client_context(const std::string& ca_file);

}  // namespace sluice::agent
