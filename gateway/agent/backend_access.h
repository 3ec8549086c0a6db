// How the agent reaches its model server: the URL, the CA that its certificate is checked against, and its key.
#pragma once

#include <absl/status/statusor.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "agent/options.h"
#include "base/bytes.h"
#include "http/url.h"

namespace sluice::agent {

struct BackendAccess {
  using SecretText = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

  http::BaseUrl url;
  std::shared_ptr<SSL_CTX> tls;  // of https; shared, because connections outlive what opened them
  SecretText authorization;      // "Bearer …"; empty: none is sent. Never printed

  // "http://127.0.0.1:8000", as people are told of it.
  [[nodiscard]] std::string name() const { return (url.tls ? "https://" : "http://") + url.authority + url.prefix; }
};

// Reads the key and the CA that the options name. Errors say what to do, and nothing of the key.
[[nodiscard]] absl::StatusOr<BackendAccess> make_backend_access(const RunOptions& options);

}  // namespace sluice::agent
