#include "dialect/endpoint.h"

namespace sluice::dialect {

Status check_method(const Endpoint& endpoint, std::string_view method) noexcept {
  const bool get = endpoint.method == "GET";
  if (method == endpoint.method || (get && method == "HEAD")) return ok();
  return client_error(ErrorKind::kMethodNotAllowed, get ? "This path takes GET requests only; send GET (or HEAD)."
                                                        : "This path takes POST requests only; send POST.");
}

std::string_view allowed_methods(const Endpoint& endpoint) noexcept {
  return endpoint.method == "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

}  // namespace sluice::dialect
