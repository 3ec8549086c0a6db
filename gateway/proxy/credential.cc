#include "proxy/credential.h"

#include <boost/beast/core/string.hpp>

#include "base/text.h"

namespace sluice::proxy {
namespace {

constexpr std::string_view kBearer = "Bearer ";

}  // namespace

Result<std::string_view> find_credential(const http::Fields& fields) noexcept {
  std::string_view found;
  for (const auto& field : fields) {
    const bool authorization = field.id == http::Field::authorization;
    if (!authorization && !boost::beast::iequals(field.name, "api-key") &&
        !boost::beast::iequals(field.name, "x-api-key"))
      continue;
    std::string_view value = field.value;
    if (authorization) {
      if (boost::beast::iequals(value, "Bearer")) continue;  // an SDK without a key
      if (value.size() < kBearer.size() || !boost::beast::iequals(value.substr(0, kBearer.size()), kBearer))
        return client_error(ErrorKind::kInvalidKey, "the Authorization header must be: Bearer, a space, your API key");
      value.remove_prefix(kBearer.size());
    }
    value = trimmed(value);
    if (value.empty()) continue;
    if (!found.empty() && found != value)
      return client_error(ErrorKind::kInvalidKey, "the request carries two different API keys; send one");
    found = value;
  }
  if (found.empty()) return client_error(ErrorKind::kNoKey, "");
  return found;
}

}  // namespace sluice::proxy
