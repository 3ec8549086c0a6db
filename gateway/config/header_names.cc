#include "config/header_names.h"

#include <algorithm>
#include <array>

namespace sluice::config {
namespace {

// Credentials, and whose account it is, by what their names hold, whoever invents them.
constexpr std::array<std::string_view, 8> kSecretParts{"authorization", "api-key", "apikey",   "api_key",
                                                       "cookie",        "secret",  "password", "organization"};
constexpr std::array<std::string_view, 4> kPrefixes{"x-forwarded-", "proxy-", "sec-", "x-sluice-"};
// Whose the call is; how the connection and the body are framed; what the gateway says itself.
constexpr std::array<std::string_view, 29> kNames{"openai-organization",
                                                  "openai-project",
                                                  "anthropic-organization-id",
                                                  "anthropic-workspace-id",
                                                  "anthropic-user-profile-id",
                                                  "forwarded",
                                                  "x-real-ip",
                                                  "via",
                                                  "host",
                                                  "connection",
                                                  "keep-alive",
                                                  "te",
                                                  "trailer",
                                                  "transfer-encoding",
                                                  "upgrade",
                                                  "http2-settings",
                                                  "expect",
                                                  "content-length",
                                                  "content-type",
                                                  "content-encoding",
                                                  "accept",
                                                  "accept-encoding",
                                                  "x-request-id",
                                                  "traceparent",
                                                  "tracestate",
                                                  "x-auth-token",
                                                  "x-access-token",
                                                  "x-amz-security-token",
                                                  "origin"};

}  // namespace

bool is_never_forwarded(std::string_view name) noexcept {
  const auto holds = [name](std::string_view part) { return name.find(part) != std::string_view::npos; };
  const auto begins = [name](std::string_view prefix) { return name.starts_with(prefix); };
  return std::ranges::any_of(kSecretParts, holds) || std::ranges::any_of(kPrefixes, begins) ||
         std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace sluice::config
